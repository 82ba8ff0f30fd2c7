"""A script's inputs one by one, each with its time: audio in frames, sentinels between them."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

from bargein.core import (
    AgentSpeechEnded,
    AgentSpeechStarted,
    Audio,
    Close,
    EndOfInput,
    Flush,
    Gap,
    InterruptionOptions,
    OverlapSpeechEnded,
    OverlapSpeechStarted,
    SetFormat,
)
from bargein.core.inputs import AgentAudio, VoiceActivity
from bargein.errors import OptionError

from .script import CallScript, Given
from .sound import encode, sound_of

__all__ = ["FRAME", "give", "length_of", "timeline"]

FRAME = Fraction(1, 50)
"""Seconds of audio in a frame: 20 ms, as bridges have it."""

SPEAKS, SILENT = 0.95, 0.02
"""What a VAD says of speech and of silence."""

_MARGIN = 0.1
"""Seconds that a call goes on when all of it must be settled."""


def length_of(script: CallScript) -> float:
    """Return how many seconds a script lasts: by default until all must be settled."""
    if script.lasts is not None:
        return script.lasts
    times = [given.at for given in script.inputs]
    spans = [(turn.start, turn.until) for turn in script.turns]
    spans += [(said.start, said.until) for said in script.utterances]
    for start, until in spans:
        times += [start, start if until is None else until]
    known = {name: value for name, value in script.options.items() if name in _SETTLING}
    options = InterruptionOptions(**known)
    tail = options.inference_timeout + options.verdict_grace + 5 * options.detection_interval
    return max(times, default=0.0) + tail + _MARGIN


_SETTLING = ("inference_timeout", "verdict_grace", "detection_interval")


def timeline(script: CallScript) -> Iterator[Given]:
    """Give all inputs in order of time; of one instant, the audio up to it comes first."""
    length = length_of(script)
    sentinels = (given for given in script.sentinels() if given.at <= length)
    if script.has_audio:
        yield from sentinels
        return
    yield from heapq.merge(_audio(script, length), sentinels, key=lambda given: given.at)


def _audio(script: CallScript, length: float) -> Iterator[Given]:
    """Give the line's audio in frames, each when its last sample is there, but not in gaps."""
    rate = script.format.sample_rate
    line = sound_of(script, length)
    gaps = [
        (given.at - float(given.item.duration), given.at)
        for given in script.inputs
        if isinstance(given.item, Gap)
    ]
    begin = 0
    number = 0
    while begin < len(line):
        number += 1
        end = int(number * FRAME * rate)
        at = round(end / rate, 9)
        if not any(start < at <= until for start, until in gaps):
            yield Given(at, Audio(encode(line[begin:end], script.format)))
            if script.vad:
                yield Given(at, VoiceActivity(SPEAKS if _speaks(script, begin / rate) else SILENT))
        begin = end


def _speaks(script: CallScript, at: float) -> bool:
    return any(
        said.start <= at and (said.until is None or at < said.until) for said in script.utterances
    )


def give(stream: Any, item: Any) -> None:
    """Do to a stream what an input says; the stream is one of bargein's, or like one."""
    if isinstance(item, Audio):
        stream.push_frame(item.data)
    elif isinstance(item, VoiceActivity):
        stream.voice_activity(item.probability)
    elif isinstance(item, AgentAudio):
        stream.agent_audio(
            item.data,
            sample_rate=item.format.sample_rate,
            num_channels=item.format.num_channels,
            encoding=item.format.encoding,
        )
    elif isinstance(item, AgentSpeechStarted):
        stream.agent_speech_started()
    elif isinstance(item, AgentSpeechEnded):
        stream.agent_speech_ended()
    elif isinstance(item, (OverlapSpeechStarted, OverlapSpeechEnded)):
        stream.push_frame(item)
    elif isinstance(item, Gap):
        stream.push_gap(item.duration)
    elif isinstance(item, SetFormat):
        fmt = item.format
        stream.set_format(
            sample_rate=fmt.sample_rate, num_channels=fmt.num_channels, encoding=fmt.encoding
        )
    elif isinstance(item, EndOfInput):
        stream.end_input()
    elif isinstance(item, Close):
        stream.close()
    elif isinstance(item, Flush):
        stream.flush()
    else:
        raise OptionError(
            f"a script holds {type(item).__name__}, which no stream takes; expected an input of "
            "bargein.core that a user gives"
        )
