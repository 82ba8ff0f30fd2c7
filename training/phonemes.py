"""What is said, sound by sound: the network learns to spell it in training, to know words by.

An alphabet of some forty sounds, without stress or length: which language a sound is from doesn't
matter. The head that spells is dropped when training is over.
"""

from __future__ import annotations

from training.conversation import words_told
from training.lexicon import Phrase
from training.mixing import Sound
from training.more_lexicon import BRIEF_INTERRUPTIONS, LONGER_BACKCHANNELS
from training.synthesise import ESPEAK_VOICES, Kokoro
from training.train_lexicon import MORE_INTERRUPTIONS, TAUGHT_BACKCHANNELS

ALPHABET = "abdefhijklmnopstuvwzæðŋɑɔəɛɜɡɪɹʃʊʌʒʧʤθAIOWYQ"
"""In Kokoro's spelling, where a diphthong is one sign."""

ALIKE = str.maketrans(
    "Tɾrɲʎɬβɣxχçɕʂʑʐʦʨɒɐɨɯyøœɴgcɟʋʁʈɖɭɳɽʏɤᵻʣq",
    "ddɹnllbɡhhhʃʃʒʒsʧɑəɪuuɜɜŋɡkɡvɹtdlnɹuʌɪzk",
)
"""Signs of other languages, or of a closer spelling -> the nearest one in the alphabet."""

_TOLD: dict[str, Phrase] = {
    phrase.text: phrase
    for phrase in (
        *(*TAUGHT_BACKCHANNELS, *MORE_INTERRUPTIONS),
        *(*BRIEF_INTERRUPTIONS, *LONGER_BACKCHANNELS),
    )
    if phrase.phonemes
}
"""Text -> the phrase, of those that are written in phonemes."""


def of_sound(kokoro: Kokoro, sound: Sound) -> str:
    """The signs of what is said from its first sound to its last; empty where that isn't known."""
    if sound.origin == "synthetic":
        said = sound.text
    else:
        said = words_told(sound.text)
    parts = [_spelt(kokoro, part, sound.language) for part in said.split(" … ") if part]
    return "".join(parts) if all(parts) else ""


def _spelt(kokoro: Kokoro, text: str, language: str) -> str:
    if text in _TOLD:
        signs = _TOLD[text].phonemes
    elif language in ESPEAK_VOICES:
        signs = kokoro.phonemes(text, language)
    else:
        return ""
    return "".join(sign for sign in signs.translate(ALIKE) if sign in ALPHABET)
