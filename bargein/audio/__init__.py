"""Audio as it comes, made into what the machine needs: 16 kHz mono int16, by position.

`formats` reads frames and decodes them, `g711` holds u-law and A-law, `resample` converts rates,
`files` reads recordings (which needs the extra ``files``; nothing here imports it before).
"""

from __future__ import annotations

from bargein.audio.files import Recording, open_recording, write_wav
from bargein.audio.formats import (
    ENCODINGS,
    MAX_CHANNELS,
    MAX_SAMPLE_RATE,
    MIN_SAMPLE_RATE,
    AudioFormat,
    Encoding,
    decode,
    read_frame,
)
from bargein.audio.g711 import decode_alaw, decode_mulaw, encode_alaw, encode_mulaw
from bargein.audio.resample import OUTPUT_RATE, Converter

__all__ = [
    "ENCODINGS",
    "MAX_CHANNELS",
    "MAX_SAMPLE_RATE",
    "MIN_SAMPLE_RATE",
    "OUTPUT_RATE",
    "AudioFormat",
    "Converter",
    "Encoding",
    "Recording",
    "decode",
    "decode_alaw",
    "decode_mulaw",
    "encode_alaw",
    "encode_mulaw",
    "open_recording",
    "read_frame",
    "write_wav",
]
