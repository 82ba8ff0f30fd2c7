"""A stream: one call's audio and sentinels in, its verdicts out. Methods are for any thread."""

from __future__ import annotations

import itertools
import logging
import time
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import EllipsisType
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

import attrs

from bargein.audio import AudioFormat
from bargein.core import (
    AgentSpeechEnded,
    AgentSpeechStarted,
    EndOfInput,
    Flush,
    Gap,
    Judge,
    JudgeSettings,
    OverlappingSpeechEvent,
    OverlapSpeechEnded,
    OverlapSpeechStarted,
    SetFormat,
    Settings,
)
from bargein.core.checks import optional_instance
from bargein.core.connect_options import APIConnectOptions
from bargein.core.echo import EchoGateOptions
from bargein.core.inbox import Inbox
from bargein.core.setup import CallSetup
from bargein.core.taps import Tap
from bargein.core.tracker import TrackerOptions
from bargein.drivers.protocol import Driver
from bargein.errors import OptionError, StateError, StreamEnded
from bargein.leftovers import forgotten, look_after, look_after_watcher
from bargein.outbox import DriverCounts, Outbox
from bargein.runtime.listeners import EventEmitter, Listeners
from bargein.worker import CLOSE_TIMEOUT, Worker

if TYPE_CHECKING:
    from bargein.detector import AdaptiveInterruptionDetector

__all__ = ["InterruptionStreamBase", "StreamStats", "Watcher"]

logger = logging.getLogger("bargein")

_CONTROLS = (
    *(AgentSpeechStarted, AgentSpeechEnded, OverlapSpeechStarted, OverlapSpeechEnded),
    *(Flush, Gap, SetFormat, EndOfInput),
)

_S = TypeVar("_S", bound="InterruptionStreamBase")
_numbers = itertools.count(1)


class Watcher(Protocol):
    """Watches calls without a say in them: a recorder, a shadow. Thread-safe."""

    def begin(self, stream_id: str, setup: CallSetup, about: Mapping[str, Any]) -> Tap:
        """Return what watches one call; ``about`` says who judges it."""

    def close(self, timeout: float) -> None:
        """Finish what calls that ended have left, in bounded time."""


@attrs.frozen(kw_only=True)
class StreamStats:
    """A snapshot of a stream: how it stands, and what has become of its input and events."""

    state: str
    """Of the interruption machine: silent, speaking, open, grace, draining or ended."""
    waiting_audio: float
    """Seconds of audio that wait to be looked at."""
    dropped_audio: float
    """Seconds of audio lost because the worker was too far behind, ever."""
    lost_frames: int
    """Frames pushed after a fatal error."""
    ignored_overlaps: int
    """Overlaps that started while the agent was silent or another was open."""
    in_flight: int
    """Windows that are unanswered, or about to be sent."""
    waiting_events: int
    dropped_events: int
    reconnects: int
    faults: int
    """Faults of the judge, announced or not: one error is announced an outage."""


class InterruptionStreamBase(EventEmitter):
    """One call's stream; made by :meth:`AdaptiveInterruptionDetector.stream`.

    Every method may be called from any thread, a media callback included: none waits for the
    network, a model or a listener, but ``recv``, iteration and ``close``. A frame, an option or a
    call that can't be is refused by an error in the caller's thread, and the stream goes on.
    Iterating gives the events until the stream has ended.
    """

    def __init__(
        self,
        *,
        model: AdaptiveInterruptionDetector,
        conn_options: APIConnectOptions | None = None,
        id: str | None = None,
        sample_rate: int | None = None,
        num_channels: int | None = None,
        encoding: str | None = None,
        vad: Literal["silero"] | None = None,
        tracker: TrackerOptions | None = None,
        watchers: Sequence[Watcher] = (),
    ) -> None:
        if vad not in (None, "silero"):
            raise OptionError(
                f"vad came as {vad!r}; expected 'silero', or None to push voice_activity() or "
                "sentinels yourself"
            )
        optional_instance("conn_options", conn_options, APIConnectOptions)
        optional_instance("tracker", tracker, TrackerOptions)
        self.id = id if id is not None else f"stream-{next(_numbers)}"
        self._model = model
        self._options = model.options
        self._conn_options = conn_options or model.conn_options
        self._listeners = Listeners()
        self._inbox = Inbox(_format(sample_rate, num_channels, encoding))
        setup = self._setup(vad, tracker)
        taps: list[Tap] = []
        try:
            for watcher in watchers:
                taps.append(watcher.begin(self.id, setup, model.about()))
                look_after_watcher(watcher)
            self._start(setup, taps)
        except BaseException as error:  # no thread to be had, a disk that is full, Ctrl-C
            for tap in taps:
                tap.end(error)
            raise

    def _start(self, setup: CallSetup, taps: Sequence[Tap]) -> None:
        inbox = self._inbox
        self._outbox = Outbox(
            stream_id=self.id, listeners=self._listeners, hub=self._model._hub, taps=taps
        )
        self._pipeline = setup.build(taps)
        self._worker = worker = Worker(
            name=self.id,
            pipeline=self._pipeline,
            inbox=inbox,
            outlet=self._outbox,
            drivers=self._build_drivers,
        )
        self._outbox.counts = lambda: DriverCounts(worker.reconnects, inbox.dropped)
        self._finalizer = weakref.finalize(self, forgotten, worker, self.id)
        self._finalizer.atexit = False
        look_after(worker)
        worker.start()
        model = self._model
        logger.info("%s: opened, judged by %s (%s)", self.id, model.model, model.provider)

    # --- what a transport brings ------------------------------------------------------------

    def _judge_settings(self) -> JudgeSettings:
        """Return what the machine must know of the primary judge."""
        raise NotImplementedError

    def _build_driver(self, worker: Worker) -> Driver:
        """Return the primary judge's driver."""
        raise NotImplementedError

    def _build_drivers(self, worker: Worker) -> Iterable[Driver]:
        fallback = self._model._fallback_driver(worker, self.id)
        return [self._build_driver(worker), *([] if fallback is None else [fallback])]

    def _setup(self, vad: str | None, tracker: TrackerOptions | None) -> CallSetup:
        # Few judges read the VAD's activations, and those cost 150 KB a stream.
        judges = (self._model._backend, self._model._fallback)
        return CallSetup(
            options=self._options,
            format=self._inbox.format or AudioFormat(),
            primary=self._judge_settings(),
            fallback=self._model._fallback_settings(),
            vad=vad is not None,
            activations=any(getattr(judge, "needs_activations", False) for judge in judges),
            tracker=tracker or TrackerOptions(),
            gate=EchoGateOptions() if vad is not None else None,
        )

    # --- the caller's audio -----------------------------------------------------------------

    def push_frame(self, frame: Any) -> None:
        """Take the caller's audio, a frame of any length; or a sentinel, as upstream's users do.

        ``bytes``, ``bytearray``, ``memoryview`` or int16 arrays in the stream's format, or an
        object with ``data``, ``sample_rate``, ``num_channels`` and ``samples_per_channel``.
        Mutable buffers are copied. Raises :class:`~bargein.errors.FrameError` for a wrong frame
        and :class:`~bargein.errors.StateError` after the end; after a fatal error of the backend
        it does nothing but count, for it is called from media callbacks.
        """
        if type(frame) is not bytes and isinstance(frame, _CONTROLS):
            self._worker.put(_aged(frame))
        else:
            self._worker.push(frame)

    def push_gap(self, duration: float) -> None:
        """Tell of audio that never came, in seconds: a lost packet, a hold."""
        self._worker.put(Gap(duration))

    def set_format(
        self, *, sample_rate: int = 16_000, num_channels: int = 1, encoding: str = "s16le"
    ) -> None:
        """Announce that frames come in another format from here on; counts as a long gap."""
        self._worker.put(SetFormat(AudioFormat(sample_rate, num_channels, encoding)))

    def voice_activity(self, probability: float) -> None:
        """Take a VAD's probability, 0..1, for the audio pushed since the one before.

        From these the stream finds where overlaps begin and end. Speaks for at most 0.2 s.
        """
        self._worker.voice_activity(probability)

    def agent_audio(
        self,
        frame: Any,
        *,
        sample_rate: int | None = None,
        num_channels: int | None = None,
        encoding: str | None = None,
    ) -> None:
        """Take the agent's audio as it is played, for the echo gate, and for when it is audible.

        Its format is given as at ``stream()``; without any a frame's own counts, and bare samples
        are read in the stream's format.
        """
        self._worker.agent_audio(frame, _format(sample_rate, num_channels, encoding))

    # --- sentinels --------------------------------------------------------------------------

    def agent_speech_started(self) -> None:
        """Tell that the agent became audible to the caller; nothing if it was."""
        self._worker.put(AgentSpeechStarted())

    def agent_speech_ended(self) -> None:
        """Tell that the agent ceased to be audible to the caller; nothing if it had."""
        self._worker.put(AgentSpeechEnded())

    def overlap_speech_started(
        self, *, speech_duration: float = 0.0, started_at: float | None = None, span: Any = None
    ) -> None:
        """Tell that the caller began to speak over the agent.

        ``speech_duration``: seconds of speech already heard when the VAD fired. ``started_at``:
        the onset in epoch seconds, echoed in the event; by default now less ``speech_duration``.
        ``span``: an OpenTelemetry span on which the verdict is written.
        """
        self.push_frame(
            OverlapSpeechStarted(speech_duration=speech_duration, started_at=started_at, span=span)
        )

    def overlap_speech_ended(
        self, *, ended_at: float | None = None, agent_ended: bool = False
    ) -> None:
        """Tell that the caller stopped, or (``agent_ended``) that the agent did."""
        self.push_frame(OverlapSpeechEnded(ended_at=ended_at, agent_ended=agent_ended))

    def flush(self) -> None:
        """Mark the end of a segment; changes nothing."""
        self._worker.put(Flush())

    def end_input(self) -> None:
        """Tell that nothing more will come: what is in flight is finished, then the stream ends."""
        self._worker.put(EndOfInput())

    # --- options ----------------------------------------------------------------------------

    def update_options(
        self,
        *,
        threshold: float | EllipsisType | None = ...,
        min_interruption_duration: float | EllipsisType = ...,
    ) -> None:
        """Judge by other settings from here on; left out means unchanged.

        ``threshold`` ``None`` is the backend's default. Over a WebSocket the old session serves
        until a new one is created.
        """
        given: dict[str, Any] = {}
        if threshold is not ...:
            given["threshold"] = threshold
        if min_interruption_duration is not ...:
            given["min_interruption_duration"] = min_interruption_duration
        with self._worker.lock:  # two threads may change different things
            options = attrs.evolve(self._options, **given)
            self._worker.put(Settings(options.threshold, options.min_frames))
            self._options = options

    # --- what comes out ---------------------------------------------------------------------

    def recv(self, timeout: float | None = None) -> OverlappingSpeechEvent:
        """Return the next event, waiting at most ``timeout`` seconds (``None``: for ever).

        Raises ``TimeoutError``; after the last event the error that ended the stream, else
        :class:`~bargein.errors.StreamEnded`.
        """
        self._check_alive()
        return self._outbox.events.get(timeout)

    def __iter__(self) -> Iterator[OverlappingSpeechEvent]:
        return self

    def __next__(self) -> OverlappingSpeechEvent:
        try:
            return self.recv()
        except StreamEnded:
            raise StopIteration from None

    @property
    def is_open(self) -> bool:
        """Whether it still takes input: neither ended, closed nor failed."""
        return self._worker.alive and not self._inbox.ended and self._worker.failure is None

    def stats(self) -> StreamStats:
        """Return a snapshot; cheap, and not of one instant."""
        machine, inbox, events = self._pipeline.machine, self._inbox, self._outbox.events
        return StreamStats(
            state=machine.state.value,
            waiting_audio=inbox.waiting / (inbox.format or AudioFormat()).sample_rate,
            dropped_audio=inbox.dropped,
            lost_frames=self._worker.lost,
            ignored_overlaps=machine.ignored,
            in_flight=sum(machine.in_flight(judge) for judge in Judge),
            waiting_events=len(events),
            dropped_events=events.dropped,
            reconnects=self._worker.reconnects,
            faults=self._worker.faults,
        )

    # --- the end ----------------------------------------------------------------------------

    def close(self, timeout: float = CLOSE_TIMEOUT) -> None:
        """End now: an unsettled overlap becomes inconclusive, goodbye is said, the thread ends.

        Waits at most ``timeout`` seconds for that; from a listener, not at all. May be called
        again, and from any thread.
        """
        self._finalizer.detach()
        self._worker.close(timeout)

    def _check_alive(self) -> None:
        if isinstance(self._worker.failure, StateError):
            raise self._worker.failure

    def __enter__(self: _S) -> _S:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _format(
    sample_rate: int | None, num_channels: int | None, encoding: str | None
) -> AudioFormat | None:
    """Return the format that was asked for; ``None``: the first frame's."""
    if sample_rate is None and num_channels is None and encoding is None:
        return None
    return AudioFormat(
        16_000 if sample_rate is None else sample_rate,
        1 if num_channels is None else num_channels,
        "s16le" if encoding is None else encoding,
    )


def _aged(item: Any) -> Any:
    """Turn a public time into an age, once, at the call: from here on no wall clock counts."""
    if isinstance(item, OverlapSpeechStarted) and item.started_at is not None and item.age is None:
        return attrs.evolve(item, age=max(0.0, time.time() - item.started_at))
    if isinstance(item, OverlapSpeechEnded) and item.ended_at is not None and item.age is None:
        return attrs.evolve(item, age=max(0.0, time.time() - item.ended_at))
    return item
