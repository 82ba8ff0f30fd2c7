"""The tables and plans that shape the judge's training: who is heard where, and what is said."""

from __future__ import annotations

from training import conversation, more_lexicon, phonemes, train_set, train_sounds, utterances
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
