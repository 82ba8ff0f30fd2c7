"""What is said, sound by sound: the network learns to spell it in training, to know words by.

An alphabet of some forty sounds, without stress or length: which language a sound is from doesn't
matter. Synthesisers tell when they say which; over a recorded line its words are spread evenly. The
head that spells is dropped when training is over.
"""

from __future__ import annotations

from collections.abc import Iterable

from training.conversation import words_told
from training.mixing import Sound
from training.sound import RATE
from training.synthesise import ESPEAK_VOICES, Kokoro

ALPHABET = "abdefhijklmnopstuvwzæðŋɑɔəɛɜɡɪɹʃʊʌʒʧʤθAIOWYQ"
"""In Kokoro's spelling, where a diphthong is one sign."""

ALIKE = str.maketrans(
    "Tɾrɲʎɬβɣxχçɕʂʑʐʦʨɒɐɨɯyøœɴgcɟʋʁʈɖɭɳɽʏɤᵻʣq",
    "ddɹnllbɡhhhʃʃʒʒsʧɑəɪuuɜɜŋɡkɡvɹtdlnɹuʌɪzk",
)
"""Signs of other languages, or of a closer spelling -> the nearest one in the alphabet."""

SILENT = "-"
"""A pause among sounds."""

_PAUSES = ",.;:!?…—"
_LONG = "ː"

_FLITE_SIGNS = """
    aa:ɑ ae:æ ah:ʌ ao:ɔ aw:W ax:ə ay:I b:b ch:ʧ d:d dh:ð eh:ɛ er:ɜ ey:A f:f g:ɡ hh:h ih:ɪ iy:i
    jh:ʤ k:k l:l m:m n:n ng:ŋ ow:O oy:Y p:p pau:, r:ɹ s:s sh:ʃ t:t th:θ uh:ʊ uw:u v:v w:w y:j
    z:z zh:ʒ
    """
_FLITE = dict(pair.split(":") for pair in _FLITE_SIGNS.split())
"""Flite's names of sounds, and their signs."""


def of_flite(told: str) -> list[tuple[str, float]]:
    """What ``flite -psdur`` prints: ``pau:0.224 w:0.265 …``, a name and the second of its end."""
    pairs = [each.rsplit(":", 1) for each in told.split() if ":" in each]
    return [(_FLITE[name], float(end)) for name, end in pairs if name in _FLITE]


def spelt(times: Iterable[tuple[str, float]], later: float = 0.0) -> tuple[tuple[str, float], ...]:
    """Phonemes in this alphabet; their ends against a moment so many seconds ``later``.

    Stress and spaces go to the sound that follows, length to the one before.
    """
    found: list[tuple[str, float]] = []
    for sign, end in times:
        end = round(end - later, 3)
        known = SILENT if sign in _PAUSES else sign.translate(ALIKE)
        if known in ALPHABET or known == SILENT:
            found.append((known, end))
        elif sign == _LONG and found:
            found[-1] = (found[-1][0], end)
    return tuple(found)


def of_sound(kokoro: Kokoro, sound: Sound) -> tuple[tuple[str, float], ...]:
    """What is said from its first sound to its last, and when; empty where that isn't known."""
    if sound.spelt or sound.origin == "synthetic":
        return sound.spelt
    said, language = words_told(sound.text), sound.language
    if not said or language not in ESPEAK_VOICES:
        return ()
    signs = [sign for sign in kokoro.phonemes(said, language).translate(ALIKE) if sign in ALPHABET]
    each = len(sound.samples) / RATE / len(signs) if signs else 0.0
    return tuple((sign, round(number * each, 3)) for number, sign in enumerate(signs, 1))
