"""What the agent says: prompts of parts, and how much of them the caller has heard."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

import attrs
import numpy as np
import numpy.typing as npt

from bargein.audio import AudioFormat, Converter, decode, encode_alaw, encode_mulaw, read_frame
from bargein.errors import OptionError, StateError

from .pacer import Passage

if TYPE_CHECKING:
    from .call import Call

__all__ = ["LineEncoder", "Part", "Prompt"]

PromptState = Literal["queued", "playing", "heard", "stopped"]

_numbers = itertools.count(1)


@attrs.frozen
class Part:
    """A part of a prompt: its audio, its words if they are known, and whether it can be stopped.

    ``audio`` is anything that a stream's ``push_frame`` takes: bytes in the line's format or in
    the one given with them, an int16 array, a frame with its own format.
    """

    audio: Any
    text: str = ""
    interruptible: bool = True


class Prompt:
    """One thing that the agent says; made by `Call.play` and `Call.open_prompt`. Thread-safe."""

    def __init__(self, call: Call, encoder: LineEncoder, rate: int) -> None:
        self.id = next(_numbers)
        self._call = call
        self._encoder = encoder
        self._rate = rate
        self._parts: list[tuple[Passage, str]] = []
        self._state: PromptState = "queued"
        self._heard = 0
        self._whole = 0
        """Parts that were heard to their ends."""
        self._whole_samples = 0
        """Samples of them."""
        self._ended = False
        self._done = threading.Event()

    @property
    def state(self) -> PromptState:
        """``queued``, ``playing``, ``heard`` (to its end) or ``stopped`` (before it)."""
        return self._state

    @property
    def heard_up_to(self) -> int:
        """Milliseconds of it that the caller has heard, most likely."""
        if not self._done.is_set():
            self._call._refresh(self)
        return self._milliseconds

    @property
    def heard_text(self) -> str:
        """The words of the parts that were heard at least to their middles."""
        if not self._done.is_set():
            self._call._refresh(self)
        words, before = [], 0
        for passage, text in list(self._parts):
            size = len(passage.audio) // self._encoder.format.frame_width
            if text and self._heard - before > size // 2:
                words.append(text)
            before += size
        return " ".join(words)

    @property
    def duration(self) -> int:
        """Milliseconds of audio given so far."""
        width = self._encoder.format.frame_width
        samples = sum(len(passage.audio) for passage, _ in list(self._parts)) // width
        return samples * 1000 // self._rate

    def write(
        self,
        audio: Any,
        *,
        text: str = "",
        interruptible: bool = True,
        sample_rate: int | None = None,
        encoding: str = "s16le",
    ) -> None:
        """Append audio to a prompt that was opened: what a speech synthesiser has ready.

        Raises :class:`~bargein.errors.StateError` after :meth:`end`; nothing is heard, and
        nothing raised, after the prompt was stopped.
        """
        if self._state == "stopped":
            return
        if self._ended:
            raise StateError("audio came after the prompt's end(); open another prompt")
        fmt = None if sample_rate is None else AudioFormat(sample_rate, 1, encoding)
        data = self._encoder.encode(audio, fmt)
        if data:
            self._call._append(self, Passage(data, self, interruptible), text)

    def end(self) -> None:
        """Say that no more comes. More than once does no harm."""
        if not self._ended:
            self._ended = True
            self._call._close_prompt(self)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it was heard or stopped; return whether that is so. Not for callbacks."""
        return self._done.wait(timeout)

    # --- for the call, with its lock held ---------------------------------------------------

    @property
    def _milliseconds(self) -> int:
        return self._heard * 1000 // self._rate

    def _update(self, position: int) -> None:
        """Take that the caller has heard the programme up to ``position``."""
        # From where it was: at each tick, while a synthesiser may have given thousands of parts.
        while self._whole < len(self._parts) and self._parts[self._whole][0].end <= position:
            passage = self._parts[self._whole][0]
            self._whole += 1
            self._whole_samples += passage.end - passage.begin
        heard = self._whole_samples
        if self._whole < len(self._parts):
            heard += max(position - self._parts[self._whole][0].begin, 0)
        self._heard = max(self._heard, heard)

    def _settle(self, state: PromptState) -> None:
        self._state = state
        self._ended = True
        self._done.set()


class LineEncoder:
    """Turns the agent's audio into a line's format. One for each prompt; not thread-safe.

    Lines of 8 and of 16 kHz take audio at any rate, in chunks of any length without seams; other
    lines only their own rate.
    """

    def __init__(self, line: AudioFormat) -> None:
        self.format = line
        self._converter: Converter | None = None
        self._halver = _Halver()

    def encode(self, audio: Any, fmt: AudioFormat | None) -> bytes:
        """Return the audio as the line takes it.

        ``fmt`` ``None``: the frame's own, or for bare bytes the line's.

        Raises :class:`~bargein.errors.FrameError` for audio that is none, and
        :class:`~bargein.errors.OptionError` for a rate that the line can't have.
        """
        bare = fmt is None and isinstance(audio, (bytes, bytearray, memoryview))
        data, given = read_frame(audio, self.format if bare else fmt)
        if given == self.format:
            return data
        samples = decode(data, given)
        if given.sample_rate != self.format.sample_rate:
            samples = self._convert(samples, given.sample_rate)
        return _encodings[self.format.encoding](samples)

    def _convert(self, samples: npt.NDArray[np.int16], rate: int) -> npt.NDArray[np.int16]:
        line = self.format.sample_rate
        if line not in (8_000, 16_000):
            raise OptionError(
                f"audio for a line of {line} Hz came at {rate} Hz; convert it to the line's rate "
                "(only lines of 8000 and 16000 Hz take others)"
            )
        if self._converter is None or self._converter.sample_rate != rate:
            self._converter = Converter(rate)
        samples = self._converter.push(samples)
        return samples if line == 16_000 else self._halver.push(samples)


class _Halver:
    """16 kHz to 8 kHz, chunk by chunk: a half-band filter, and every other sample of it."""

    TAPS = 63
    """Down 3 dB at 3.9 kHz and 50 dB from 4.3 on: speech keeps what a telephone lets through."""

    def __init__(self) -> None:
        n = np.arange(self.TAPS) - self.TAPS // 2
        taps = np.sinc(n * 0.4875) * np.hamming(self.TAPS)  # cut-off 3.9 kHz of 16
        self._taps = taps / taps.sum()
        self._rest: npt.NDArray[Any] = np.zeros(self.TAPS // 2, np.float64)

    def push(self, samples: npt.NDArray[np.int16]) -> npt.NDArray[np.int16]:
        """Return what is certain of the result; the last 2 ms wait for what comes next."""
        joined = np.concatenate((self._rest, samples))
        count = max(0, (len(joined) - self.TAPS) // 2 + 1)
        self._rest = joined[2 * count :]
        if not count:
            return np.zeros(0, np.int16)
        filtered = np.convolve(joined[: 2 * count + self.TAPS - 2], self._taps, "valid")[::2]
        return np.asarray(np.clip(np.rint(filtered), -32_768, 32_767), np.int16)


_encodings: dict[str, Callable[[npt.NDArray[np.int16]], bytes]] = {
    "mulaw": encode_mulaw,
    "alaw": encode_alaw,
    "s16le": lambda samples: samples.astype("<i2").tobytes(),
    "s16be": lambda samples: samples.astype(">i2").tobytes(),
    "u8": lambda samples: ((samples >> 8) + 128).astype(np.uint8).tobytes(),
}
