"""The tables and plans that shape the judge's training: who is heard where, and what is said."""

from __future__ import annotations

from bargein.backends.gru import BEFORE
from training import (
    conversation,
    more_lexicon,
    overlaps,
    phonemes,
    train_set,
    train_sounds,
    utterances,
)
from training.acted import words_of
from training.lexicon import INTERRUPTIONS
from training.train_lexicon import MORE_INTERRUPTIONS
from training.voices import RESERVED, VOICES


def voices_of(blend: str) -> list[str]:
    return [part.partition(":")[0] for part in blend.split("+")]


def test_no_reserved_or_reported_voice_is_heard_in_training_or_validation() -> None:
    heard = {
        part: {voice for each in utterances.utterances(part) for voice in voices_of(each.voice)}
        for part in ("train", "validate")
    }

    assert not heard["train"] & heard["validate"]
    assert not (heard["train"] | heard["validate"]) & (RESERVED | set(VOICES["report"]))


def test_a_plan_is_the_same_each_time() -> None:
    assert utterances.utterances("train") == utterances.utterances("train")
    assert len(utterances.utterances("train")) > 3_000
    assert len(utterances.utterances("validate")) == utterances.VALIDATED


def test_a_blend_of_voices_is_all_of_one_person() -> None:
    for each in utterances.utterances("train"):
        shares = [float(part.partition(":")[2] or 1) for part in each.voice.split("+")]

        assert abs(sum(shares) - 1) < 0.02
        assert min(shares) >= -0.11


def test_interruptions_that_figures_are_measured_on_are_not_taught_but_for_single_words() -> None:
    measured = {phrase.text for phrase in INTERRUPTIONS if phrase.family != "short"}
    taught = {phrase.text for phrase in (*MORE_INTERRUPTIONS, *more_lexicon.combined())}

    assert not measured & taught
    assert len(set(more_lexicon.combined())) == more_lexicon.COMBINED


def test_what_acknowledges_does_not_take_the_turn() -> None:
    assert not conversation.ACKNOWLEDGE & conversation.TAKE
    for text in conversation.ACKNOWLEDGE | conversation.TAKE:
        assert text == words_of(text)


def test_characters_and_persons_are_heard_in_one_part_each() -> None:
    parts = list(conversation.CHARACTERS.values())

    assert not parts[0] & parts[1]
    assert conversation.part_of("tam") == "validate"
    assert conversation.part_of("joe") == "train"
    units = list(train_sounds.UNITS.values())
    assert len({unit for part in units for unit in part}) == sum(map(len, units))


def test_every_group_has_a_seed_and_a_number_of_mixes() -> None:
    assert set(train_set.MIXES) == set(train_set.GROUP_SEEDS) == set(train_set.GROUPS)
    assert len(set(train_set.GROUP_SEEDS.values())) == len(train_set.GROUPS)


def test_what_is_said_is_spelt_in_one_alphabet() -> None:
    assert len(set(phonemes.ALPHABET)) == len(phonemes.ALPHABET)
    assert set(phonemes.ALIKE.values()) <= set(map(ord, phonemes.ALPHABET))
    assert conversation.words_told('abc "Hi there!"') == "Hi there!"
    assert conversation.words_told("abc") == ""


def test_sounds_keep_the_times_at_which_a_synthesiser_ends_them() -> None:
    told = [("ˈ", 0.3), ("u", 0.4), ("ː", 0.5), (",", 0.7), (" ", 0.72), ("ɾ", 0.8)]

    assert phonemes.spelt(told, 0.25) == (("u", 0.25), (phonemes.SILENT, 0.45), ("d", 0.55))


def test_flite_names_sounds_of_the_alphabet() -> None:
    said = phonemes.spelt(phonemes.of_flite("pau:0.224 w:0.265 ey:0.390 t:0.418 \n"), 0.224)

    assert [sign for sign, _ in said] == [phonemes.SILENT, "w", "A", "t"]
    assert set(phonemes._FLITE.values()) <= {*phonemes.ALPHABET, ","}


def test_a_sound_is_asked_for_shortly_after_it_was_said() -> None:
    about = {"phonemes": "wA-t", "ends": [0.1, 0.3, 0.4, 0.5], "late": 0.05}
    signs = overlaps.spelling(about)
    step = 0.032 / overlaps.SPELT_PER_CHUNK

    def asked(seconds: float) -> int:
        """The sign that is asked for so long after it sounded."""
        at = seconds + overlaps.HEARD_AFTER + BEFORE * 0.032
        return int(signs[round(at / step) - 1])

    numbers = [phonemes.ALPHABET.index(sign) + 1 for sign in "wAt"]
    assert [asked(at) for at in (0.05, 0.2, 0.45)] == numbers
    assert [asked(at) for at in (-0.1, 0.35, 0.6)] == [0, 0, 0]
