"""``bargein answer``: an agent to call, which shows what interruptions are.

It plays a long prompt, goes on through "mm-hmm", stops when it is interrupted, and prints what
happens as it happens.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import signal
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np

from bargein.audio import AudioFormat, decode, decode_mulaw, open_recording
from bargein.errors import OptionError

from .exits import ExitCode
from .judge import backend_of

if TYPE_CHECKING:
    from bargein.telephony.call import Call, CallEvent
    from bargein.telephony.line import Line

__all__ = ["DemoAgent", "add_arguments", "read_prompt", "run"]

_KINDS = ("audiosocket", "twilio", "telnyx", "plivo", "exotel", "websocket", "rtp", "sip")
_PORTS = {"audiosocket": 9092, "websocket": 8787, "rtp": 7000, "sip": 5060}
_STREAMS_PORT = 8080
"""Of the Twilio family: what their tunnels and proxies expect."""

_QUIET = 1.5
"""Seconds without the caller's voice after which the agent takes the turn back."""

_LONGEST = 15.0
"""Seconds after which it does so on a line that is never quiet."""

_MOST_TOLD = 160
"""Characters that are shown of what a network tells of a call: two lines of a terminal."""

_INTERVAL = 0.05
"""Seconds between windows: half the usual wait for the next one, for a quarter more CPU."""

_LOOK = 0.1
"""Seconds between looks at who has the floor."""

_VOICE = 10 ** (-45 / 20) * 32_768
"""Amplitude (RMS), -45 dBFS, from which a silent agent takes the line for the caller's voice."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.add_argument(
        "network",
        choices=_KINDS,
        help="audiosocket, websocket: Asterisk; twilio, telnyx, plivo, exotel: media streams; "
        "rtp: bare G.711; sip: with a simple SIP answerer",
    )
    parser.add_argument("--host", default="127.0.0.1", help="default: this machine alone")
    parser.add_argument(
        "--public-host",
        metavar="ADDRESS",
        default="",
        help="sip: the address that callers are told, where --host is 0.0.0.0",
    )
    parser.add_argument("--port", type=int, help="0: any that is free; default: the usual one")
    parser.add_argument("--prompt", metavar="FILE", help="an audio file to read out")
    parser.add_argument("--backend", default="local", help="the judge: local, or module:attribute")
    parser.add_argument(
        "--on-speech",
        choices=("go_on", "duck", "pause", "stop"),
        default="go_on",
        help="what to do before the verdict (default: go_on)",
    )
    parser.add_argument(
        "--on-inconclusive", choices=("go_on", "stop"), default="go_on", help="default: go_on"
    )
    parser.add_argument("--no-echo", action="store_true", help="do without the echo canceller")
    parser.add_argument(
        "--record", metavar="FOLDER", help="keep each call as a stereo WAV for bargein analyze"
    )
    parser.add_argument("--calls", type=int, metavar="N", help="end after so many calls")


def run(arguments: argparse.Namespace) -> int:
    """Answer calls until told to stop; return the exit code."""
    from bargein.detector import AdaptiveInterruptionDetector

    if arguments.calls is not None and arguments.calls < 1:
        raise OptionError(f"--calls came as {arguments.calls}; expected 1 or more")
    stop = threading.Event()
    with contextlib.ExitStack() as stack:
        detector = stack.enter_context(
            AdaptiveInterruptionDetector(
                backend=backend_of(arguments.backend), detection_interval=_INTERVAL
            )
        )
        agent = DemoAgent(detector, arguments, stop=stop)
        port = arguments.port
        if port is None:
            port = _PORTS.get(arguments.network, _STREAMS_PORT)
        stack.enter_context(_warnings())
        server = stack.enter_context(_server(arguments, agent.answer, port))
        stack.enter_context(_signals(stop))
        host, port = server.address[:2]
        print(f"bargein answers {arguments.network} on {host}:{port}", flush=True)
        while not stop.wait(0.5):
            pass
    agent.join()
    return ExitCode.OK


@contextlib.contextmanager
def _signals(stop: threading.Event) -> Any:
    """Stop in an orderly way at SIGTERM; elsewhere than on the main thread, not at all."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda *_: stop.set())
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def _warnings() -> Iterator[None]:
    """Show on stderr what is wrong with a call, which a library leaves to its user's logging."""
    logger, shown = logging.getLogger("bargein"), logging.StreamHandler(sys.stderr)
    shown.setLevel(logging.WARNING)
    shown.setFormatter(logging.Formatter("bargein: %(message)s"))
    logger.addHandler(shown)
    try:
        yield
    finally:
        logger.removeHandler(shown)


def _server(arguments: argparse.Namespace, answer: Any, port: int) -> Any:
    from bargein import telephony

    network, host = arguments.network, arguments.host
    if network == "audiosocket":
        return telephony.AudioSocketServer(answer, host, port)
    if network == "websocket":
        return telephony.AsteriskWebSocketServer(answer, host, port)
    if network == "rtp":
        return telephony.RtpEndpoint(answer, host, port)
    if network == "sip":
        return telephony.SipAnswerer(answer, host, port, public_host=arguments.public_host)
    return telephony.MediaStreamsServer(answer, host, port, dialect=network)


class DemoAgent:
    """Answers each call with the prompt, and prints its timeline. Thread-safe.

    ``arguments`` are the command's; ``stop`` is set after ``arguments.calls`` calls.
    """

    def __init__(
        self,
        detector: Any,
        arguments: argparse.Namespace,
        *,
        stop: threading.Event,
        out: TextIO | None = None,
    ) -> None:
        self._detector = detector
        self._arguments = arguments
        self._stop = stop
        self._out = out or sys.stdout
        self._lock = threading.Lock()
        self._left = arguments.calls
        self._threads: list[threading.Thread] = []
        self._prompt, self._rate = read_prompt(arguments.prompt)
        if arguments.record is not None:  # now, not when the first call comes
            Path(arguments.record).mkdir(parents=True, exist_ok=True)

    def answer(self, line: Line) -> Call:
        """Take a call; for a server's ``on_call``."""
        from bargein.telephony.call import Call
        from bargein.telephony.echo import EchoOptions
        from bargein.telephony.policy import BargeInPolicy
        from bargein.telephony.stereo import StereoRecorder

        arguments = self._arguments
        recorder, floor = None, _Floor(line.format)
        if arguments.record is not None:
            recorder = StereoRecorder(_file_for(Path(arguments.record), line.id), line.format)

        def tap(caller: bytes, agent: bytes, now: float) -> None:
            floor.push(caller, now)
            if recorder is not None:
                recorder.push(caller, agent, now)

        call = Call(
            line,
            self._detector,
            policy=BargeInPolicy(
                on_speech=arguments.on_speech, on_inconclusive=arguments.on_inconclusive
            ),
            echo=None if arguments.no_echo else EchoOptions(),
            tap=tap,
        )
        thread = threading.Thread(
            target=self._attend, args=(call, floor, recorder), name=f"answer-{line.id}", daemon=True
        )
        with self._lock:
            self._threads = [each for each in self._threads if each.is_alive()]
            self._threads.append(thread)
        thread.start()
        return call

    def join(self, timeout: float = 5.0) -> None:
        """Wait for the calls that have ended to be put in order."""
        deadline = time.monotonic() + timeout
        for thread in list(self._threads):
            thread.join(max(0.0, deadline - time.monotonic()))

    def _attend(self, call: Call, floor: _Floor, recorder: Any) -> None:
        """See one call through, on its own thread."""
        details = "".join(f", {name} {value!r}" for name, value in call.details.items())
        self._say(call, 0.0, "answered" + textwrap.shorten(details, _MOST_TOLD, placeholder=" …"))
        self._read_out(call)
        silent = False
        try:
            while True:
                try:
                    event = call.recv(_LOOK)
                except TimeoutError:
                    if silent and floor.free(time.monotonic()):
                        silent = False
                        self._read_out(call)
                    continue
                text = told(event)
                if text:
                    self._say(call, event.at, text)
                if event.kind == "agent_ended":  # stopped, or it has said all
                    silent = True
                    floor.given(event.time)
                if event.kind == "ended":
                    return
        finally:
            call.close(0.0)
            if recorder is not None:
                recorder.close()
                self._say(call, None, f"kept as {recorder.path}: bargein analyze {recorder.path}")
            self._done()

    def _read_out(self, call: Call) -> None:
        call.play(self._prompt, sample_rate=self._rate)

    def _done(self) -> None:
        with self._lock:
            if self._left is None:
                return
            self._left -= 1
            if self._left <= 0:
                self._stop.set()

    def _say(self, call: Call, at: float | None, text: str) -> None:
        when = "" if at is None else f"{at:7.2f}"
        with self._lock:
            print(f"{call.id[:12]:12} {when:7}  {_printable(text)}", file=self._out, flush=True)


class _Floor:
    """Whether the caller still has the floor. By level alone, for the VAD rests with the agent."""

    def __init__(self, format: AudioFormat) -> None:
        self._format = format
        self._heard = self._given = 0.0

    def push(self, caller: bytes, now: float) -> None:
        """Take the caller's audio; on the media thread."""
        samples = decode(caller, self._format).astype(np.float64)
        if samples @ samples > _VOICE * _VOICE * len(samples):
            self._heard = now

    def given(self, now: float) -> None:
        """Take that the agent fell silent."""
        self._given = now

    def free(self, now: float) -> bool:
        """Return whether the agent may speak again."""
        return now - max(self._heard, self._given) >= _QUIET or now - self._given >= _LONGEST


def told(event: CallEvent) -> str:
    """Return a line of the timeline; empty for what isn't worth one."""
    if event.kind == "verdict" and event.verdict is not None:
        verdict = event.verdict
        reason = "" if verdict.reason is None else f" ({verdict.reason.value})"
        return (
            f"  {verdict.outcome.value}{reason}: probability {verdict.probability:.2f}, "
            f"{verdict.detection_delay * 1000:.0f} ms after the onset"
        )
    heard = "" if event.heard_up_to is None else f"{event.heard_up_to / 1000:.2f} s were heard"
    if event.kind == "stopped":
        return f"INTERRUPTED: the agent stops; {heard} ({event.reason})"
    if event.kind == "prompt_ended":
        return f"the prompt is over; {heard}" if _whole(event) else ""
    return {
        "agent_started": "the agent speaks",
        "agent_ended": "the agent is silent",
        "overlap_started": "  the caller speaks, too",
        "overlap_ended": "  the caller has stopped" if event.reason != "agent_ended" else "",
        "ducked": "  the agent goes on softly",
        "paused": "  the agent waits",
        "resumed": "  the agent goes on",
        "dtmf": f"key {event.digit}",
        "error": f"trouble: {event.error}",
        "ended": f"the call is over ({event.reason})",
    }[event.kind]


def _whole(event: CallEvent) -> bool:
    return event.prompt is not None and event.prompt.state == "heard"


def _printable(text: str) -> str:
    """What the network told may hold anything, a terminal's commands too."""
    return "".join(each if each.isprintable() else "?" for each in text)


def _file_for(folder: Path, name: str) -> Path:
    safe = "".join(each if each.isalnum() or each in "-_" else "_" for each in name)[:64]
    return folder / f"{time.strftime('%Y%m%d-%H%M%S')}-{safe}.wav"


def read_prompt(path: str | None) -> tuple[Any, int]:
    """Return a prompt's samples, int16 mono, and its rate; ``None``: the bundled one's."""
    if path is None:
        bundled = Path(__file__).parent.parent / "telephony" / "prompts" / "demo.ulaw"
        return decode_mulaw(bundled.read_bytes()).copy(), 8_000
    with open_recording(path) as recording:
        blocks = [block[:, 0] for block in recording.blocks()]
        return np.concatenate(blocks), recording.sample_rate
