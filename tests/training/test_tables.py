"""The tables that shape the labelled set: what is said, by whom, in which half."""

from __future__ import annotations

from training.fetch import EXAMPLE, PACKAGES
from training.lexicon import BACKCHANNELS, INTERRUPTIONS, NOISES, OWN_TURNS, Phrase
from training.noises import SYNTHETIC
from training.pools import COMPUTED
from training.recordings import SPEAKERS
from training.synthesise import ESPEAK_VOICES
from training.voices import (
    LEFT_OUT,
    REAL_AGENTS,
    REAL_CALLERS,
    RESERVED,
    SPLITS,
    VOICES,
    person,
)


def test_no_voice_speaks_in_both_halves() -> None:
    calibrate, report = (set(VOICES[split]) for split in SPLITS)

    assert not calibrate & report
    assert min(len(calibrate), len(report)) >= 12


def test_reserved_voices_speak_in_neither() -> None:
    used = {voice for split in SPLITS for voice in VOICES[split]}

    assert len(RESERVED) == 14
    assert not used & (RESERVED | LEFT_OUT)
    assert len(used | RESERVED | LEFT_OUT) == 54


def test_no_recorded_person_is_heard_in_both_halves() -> None:
    calibrate, report = (
        {person(name) for name in (*REAL_CALLERS[split], *REAL_AGENTS[split])} for split in SPLITS
    )

    assert not calibrate & report


def test_every_caller_has_an_agent_who_is_somebody_else() -> None:
    for split in SPLITS:
        for caller in REAL_CALLERS[split]:
            assert any(person(agent) != person(caller) for agent in REAL_AGENTS[split])


def test_recorded_speakers_are_known_and_the_meetings_are_not_among_them() -> None:
    named = {name for split in SPLITS for name in (*REAL_CALLERS[split], *REAL_AGENTS[split])}

    assert named <= set(SPEAKERS)
    assert {package.name for package in EXAMPLE} == {"pyannote.audio"}
    assert not {speaker.package for speaker in SPEAKERS.values()} & {p.name for p in EXAMPLE}


def test_the_lexicon_covers_the_field() -> None:
    def texts(phrases: tuple[Phrase, ...]) -> set[tuple[str, str]]:
        return {(phrase.text, phrase.language) for phrase in phrases}

    assert len({text for text, language in texts(BACKCHANNELS) if language == "en"}) >= 60
    assert len({phrase.language for phrase in BACKCHANNELS}) >= 6
    assert {"short", "yeah, but", "correction", "question"} <= {p.family for p in INTERRUPTIONS}
    assert len({phrase.language for phrase in INTERRUPTIONS}) >= 5
    assert not texts(BACKCHANNELS) & texts(INTERRUPTIONS)


def test_every_phrase_can_be_spoken() -> None:
    for phrase in (*BACKCHANNELS, *INTERRUPTIONS, *OWN_TURNS):
        assert phrase.text
        assert phrase.phonemes or phrase.language in ESPEAK_VOICES, phrase


def test_every_noise_is_described() -> None:
    assert set(COMPUTED) == set(SYNTHETIC)
    assert set(SYNTHETIC) | {"effect", "game", "grunt", "music", "tv"} == set(NOISES)


def test_every_package_names_its_licence_and_checksum() -> None:
    for package in (*PACKAGES, *EXAMPLE):
        assert package.licence
        assert package.credit
        assert len(package.sha256) == 64
