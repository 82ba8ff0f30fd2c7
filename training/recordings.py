"""Recorded speech, music and effects out of the packages that ``training.fetch`` unpacked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import attrs
import numpy as np

from training.sound import Audio, read_audio, to_rate, trim
from training.voices import Split

_ASTERISK = "usr/share/asterisk/sounds"

_NOT_SPEECH = ("tone", "beep", "monkeys", "silence", "confbridge-join", "confbridge-leave")
"""Parts of names of prompts that aren't a person speaking."""


@attrs.frozen
class Speaker:
    """A person whose prompts a package ships: the package, the folder in it, the language."""

    package: str
    folder: str
    language: str


SPEAKERS: Mapping[str, Speaker] = {
    "allison-en": Speaker("asterisk-core-sounds-en-wav", f"{_ASTERISK}/en_US_f_Allison", "en"),
    "allison-es": Speaker("asterisk-core-sounds-es-wav", f"{_ASTERISK}/es_MX_f_Allison", "es"),
    "carlo-it": Speaker("asterisk-core-sounds-it-wav", f"{_ASTERISK}/it_IT_m_Carlo", "it"),
    "june-fr": Speaker("asterisk-core-sounds-fr-wav", f"{_ASTERISK}/fr_CA_f_June", "fr"),
    "ivrvoice-ru": Speaker("asterisk-core-sounds-ru-wav", f"{_ASTERISK}/ru_RU_f_IvrvoiceRU", "ru"),
    "menardi-it": Speaker("asterisk-prompt-it-menardi-wav", f"{_ASTERISK}/it_IT_f_Menardi", "it"),
    "librivox-en": Speaker(
        "pocketsphinx-testdata", "usr/share/pocketsphinx/test/data/librivox", "en"
    ),
}


def prompts(sources: Path, speaker: str, shortest: float, longest: float) -> list[Path]:
    """A speaker's prompts that last ``shortest`` to ``longest`` seconds, sorted by name."""
    import soundfile

    found = SPEAKERS[speaker]
    folder = sources / "deb" / found.package / found.folder
    if not folder.is_dir():
        raise FileNotFoundError(f"no {folder}: run python -m training.fetch {sources}")
    return [
        path
        for path in sorted(folder.glob("*.wav"))
        if not any(part in path.stem for part in _NOT_SPEECH)
        and shortest <= soundfile.info(path).duration <= longest
    ]


def phrase(path: Path) -> Audio:
    """One prompt, trimmed to its acoustic onset and end."""
    return trim(read_audio(path))


def read_any(path: Path) -> Audio:
    """A file's first channel at 16 kHz, WavPack too (which soundfile can't read)."""
    if path.suffix != ".wv":
        return read_audio(path)
    import av

    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        frames = [frame.to_ndarray() for frame in container.decode(stream)]
        rate = int(stream.rate)
    samples = np.concatenate(frames, axis=1)[0].astype(np.float32) / 32_768.0
    return to_rate(samples, rate)


_EFFECTS = ("drum_", "elec_", "perc_", "tabla_", "vinyl_", "glitch_", "misc_", "loop_", "ambi_")
_GAME = ("foley_", "hook_", "sfx_", "wp_")


def effects(sources: Path, split: Split) -> list[Path]:
    """Recorded effects of one half: every other file of ``sonic-pi-samples``."""
    folder = sources / "deb/sonic-pi-samples/usr/share/sonic-pi/samples"
    return _half([p for p in sorted(folder.glob("*.flac")) if p.name.startswith(_EFFECTS)], split)


def game_sounds(sources: Path, split: Split) -> list[Path]:
    """A game's effects of one half: every other kind (all takes of a kind share a half)."""
    files = sorted(_teeworlds(sources).glob("*.wv"))
    kinds = sorted({path.stem.split("-")[0] for path in files if path.name.startswith(_GAME)})
    chosen = set(_half([Path(kind) for kind in kinds], split))
    return [path for path in files if Path(path.stem.split("-")[0]) in chosen]


def grunts(sources: Path, split: Split) -> list[Path]:
    """Wordless sounds of a human voice. One actor's, so they are all in the half to report on."""
    if split != "report":
        return []
    return sorted(_teeworlds(sources).glob("vo_teefault_*.wv"))


def music(sources: Path, split: Split) -> list[Path]:
    """Music on hold of one half: every other piece."""
    folder = sources / "deb/asterisk-moh-opsound-wav/usr/share/asterisk/moh"
    return _half(sorted(folder.glob("*.wav")), split)


def _teeworlds(sources: Path) -> Path:
    return sources / "deb/teeworlds-data/usr/share/games/teeworlds/data/audio"


def _half(paths: list[Path], split: Split) -> list[Path]:
    return paths[0::2] if split == "calibrate" else paths[1::2]
