"""Call scripts: a call as a timeline, what the judge says of it, and what is to come of it.

>>> script = (
...     CallScript("the other flight")
...     .agent_speaks(0, 6)
...     .caller_speaks(2.1, 2.5).judged(0.8, after=0.12)
...     .expect_interruption(within=0.3)
... )
>>> print(script.run().events[0].outcome.value)
interruption

The same as text, for who likes to read it so (:mod:`bargein.testing.text`):

>>> print(script)
call: the other flight
agent speaks 0 - 6 s
caller speaks 2.1 - 2.5 s, judged 0.8 after 120 ms
expect interruption within 300 ms
>>> CallScript.parse(str(script)) == script
True
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
import numpy.typing as npt

from bargein.audio import AudioFormat
from bargein.core import (
    AgentSpeechEnded,
    AgentSpeechStarted,
    Audio,
    Close,
    EndOfInput,
    Gap,
    Outcome,
    OverlapSpeechEnded,
    OverlapSpeechStarted,
    Reason,
)
from bargein.core.checks import seconds
from bargein.errors import OptionError

from .answers import Answer, judged, no, plain
from .sound import load

if TYPE_CHECKING:
    from .check import Run
    from .server import ScriptedServer
    from .still import Transport

__all__ = ["CallScript", "Expectation", "Given", "Turn", "Utterance"]

_samples_equal = attrs.cmp_using(eq=np.array_equal)


def _until(start: float, until: float | None, lasts: float | None) -> float | None:
    if lasts is not None:
        if until is not None:
            raise OptionError("until and lasts came together; give one of them")
        until = round(start + lasts, 9)
    if until is not None and until < start:
        raise OptionError(f"speech from {start:g} s came with an end at {until:g} s, before it")
    return until


@attrs.frozen
class Turn:
    """The agent is audible from ``start`` until ``until`` (``None``: to the end), in seconds."""

    start: float = attrs.field(validator=seconds)
    until: float | None = None


@attrs.frozen
class Utterance:
    """The caller speaks from ``start`` until ``until`` (``None``: to the end), in seconds.

    ``heard_after``: how late the bridge's VAD tells of the start. ``answers``: what the judge says
    of this overlap's windows, in the order in which they are cut, the last for all that follow;
    empty: the script's own. ``sound``: what the caller says, int16 ``(n,)`` in the script's rate;
    ``None``: noise.
    """

    start: float = attrs.field(validator=seconds)
    until: float | None = None
    heard_after: float = attrs.field(default=0.0, validator=seconds)
    answers: tuple[Answer, ...] = ()
    sound: npt.NDArray[np.int16] | None = attrs.field(
        default=None, eq=_samples_equal, repr=False, hash=False
    )


@attrs.frozen
class Given:
    """Any input of :mod:`bargein.core`, ``at`` so many seconds: what a recording is made of."""

    at: float = attrs.field(validator=seconds)
    item: Any


@attrs.frozen
class Expectation:
    """What is to come of an utterance, counted from 1 (``None``: of the whole call, no verdict).

    ``within``: seconds to the verdict, from the utterance's start for an interruption, from its end
    for what else there is.
    """

    outcome: Outcome | None = None
    reason: Reason | None = None
    within: float | None = attrs.field(default=None, validator=attrs.validators.optional(seconds))
    utterance: int | None = None

    def __str__(self) -> str:
        words = "no verdict" if self.outcome is None else self.outcome.value
        if self.reason is not None:
            words += f" ({self.reason.value})"
        return words + (f" within {plain(self.within * 1e3)} ms" if self.within is not None else "")


@attrs.frozen
class CallScript:
    """A call, a judge and what is expected, as plain immutable data. Methods return a new script.

    ``turns``, ``utterances``
        When the agent is audible, and when the caller speaks; each in order.
    ``inputs``
        Whatever else goes in: gaps, a hang-up; or all of a recorded call's inputs. Where
        :class:`~bargein.core.Audio` is among them no audio is made up.
    ``answers``
        What the judge says of windows for which no utterance has answers of its own, in the
        order in which an overlap cuts them.
    ``overlap_answers``
        The same by the number of the overlap in the call, from 1: for scripts that are made of
        ``inputs`` alone.
    ``expectations``
        What :meth:`run` checks.
    ``options``
        Options of the detector, ``fallback`` and ``conn_options`` among them.
    ``vad``
        Whether overlaps are found from a VAD's probabilities, one each 20 ms, as most bridges
        have it, instead of told where they are.
    ``lasts``
        Seconds of the call; ``None``: until all must be settled.
    """

    name: str = ""
    turns: tuple[Turn, ...] = attrs.field(default=(), kw_only=True)
    utterances: tuple[Utterance, ...] = attrs.field(default=(), kw_only=True)
    inputs: tuple[Given, ...] = attrs.field(default=(), kw_only=True, repr=False)
    answers: tuple[Answer, ...] = attrs.field(default=(no,), kw_only=True)
    overlap_answers: Mapping[int, tuple[Answer, ...]] = attrs.field(
        factory=dict, kw_only=True, repr=False
    )
    expectations: tuple[Expectation, ...] = attrs.field(default=(), kw_only=True)
    options: Mapping[str, Any] = attrs.field(factory=dict, kw_only=True)
    format: AudioFormat = attrs.field(factory=AudioFormat, kw_only=True)
    vad: bool = attrs.field(default=False, kw_only=True)
    lasts: float | None = attrs.field(default=None, kw_only=True)

    # --- writing one ------------------------------------------------------------------------

    @classmethod
    def parse(cls, text: str) -> CallScript:
        """Read a script from its text form (:mod:`bargein.testing.text`).

        Raises :class:`~bargein.errors.OptionError`, which names the line.
        """
        from .text import parse

        return parse(text)

    def agent_speaks(
        self, start: float, until: float | None = None, *, lasts: float | None = None
    ) -> CallScript:
        """The agent is audible from ``start`` to ``until``, or for ``lasts``, in seconds."""
        turn = Turn(start, _until(start, until, lasts))
        self._in_order(start, [turn.start for turn in self.turns], "the agent")
        return attrs.evolve(self, turns=(*self.turns, turn))

    def caller_speaks(
        self,
        start: float,
        until: float | None = None,
        *,
        lasts: float | None = None,
        heard_after: float = 0.0,
        saying: npt.NDArray[np.int16] | str | PathLike[str] | None = None,
    ) -> CallScript:
        """The caller speaks from ``start`` to ``until``, or for ``lasts``, in seconds.

        ``heard_after``: how late the bridge's VAD tells so. ``saying``: the caller's words, a
        recording's path or int16 samples in the script's rate; by default noise.
        """
        sound = None if saying is None else load(saying, self.format.sample_rate)
        if sound is not None and until is None and lasts is None:
            lasts = len(sound) / self.format.sample_rate
        said = Utterance(start, _until(start, until, lasts), heard_after, sound=sound)
        self._in_order(start, [utterance.start for utterance in self.utterances], "the caller")
        return attrs.evolve(self, utterances=(*self.utterances, said))

    @staticmethod
    def _in_order(start: float, before: Sequence[float], who: str) -> None:
        if before and start < before[-1]:
            raise OptionError(
                f"{who} speaks at {start:g} s, but spoke last at {before[-1]:g} s; write a script "
                "in the order of time"
            )

    def judged(self, *what: float | Answer, after: float = 0.0) -> CallScript:
        """Say what the judge makes of the caller's last words: one for each window in turn.

        The last holds for all that follow. Numbers are probabilities; else answers, and faults, of
        :mod:`bargein.testing.answers`. ``after``: seconds until each comes. Before any words
        of the caller's: what it makes of all that have none of their own.
        """
        if not what:
            raise OptionError("judged() came without an answer; expected one or more")
        said = tuple(
            one.delayed(one.after or after)
            if isinstance(one, Answer)
            else judged(float(one), after=after)
            for one in what
        )
        if not self.utterances:
            return attrs.evolve(self, answers=said)
        newest = attrs.evolve(self.utterances[-1], answers=said)
        return attrs.evolve(self, utterances=(*self.utterances[:-1], newest))

    def gap(self, at: float, lasts: float) -> CallScript:
        """For ``lasts`` seconds before ``at`` no audio came: lost packets, a hold."""
        return self.given(at, Gap(lasts))

    def input_ends(self, at: float) -> CallScript:
        """Nothing more comes; what is in flight is finished."""
        return self.given(at, EndOfInput())

    def hangs_up(self, at: float) -> CallScript:
        """The caller hangs up: the bridge closes the stream."""
        return self.given(at, Close())

    def given(self, at: float, item: Any) -> CallScript:
        """Any input of :mod:`bargein.core` at a time."""
        return attrs.evolve(self, inputs=(*self.inputs, Given(at, item)))

    def with_options(self, **options: Any) -> CallScript:
        """Options of the detector (``threshold=0.7``, ``fallback="fail_open"``)."""
        return attrs.evolve(self, options={**self.options, **options})

    # --- what is expected -------------------------------------------------------------------

    def expect_interruption(self, *, within: float | None = None) -> CallScript:
        """The caller's last words interrupt, at most ``within`` seconds after they began."""
        return self._expect(Outcome.INTERRUPTION, None, within)

    def expect_backchannel(self, *, within: float | None = None) -> CallScript:
        """They don't, which is known at most ``within`` seconds after they ended."""
        return self._expect(Outcome.BACKCHANNEL, None, within)

    def expect_inconclusive(
        self, reason: Reason | str | None = None, *, within: float | None = None
    ) -> CallScript:
        """Nobody could tell, for this reason (``None``: whatever the reason)."""
        return self._expect(
            Outcome.INCONCLUSIVE, None if reason is None else Reason(reason), within
        )

    def expect_no_verdict(self) -> CallScript:
        """No overlap comes of the whole call."""
        return attrs.evolve(self, expectations=(*self.expectations, Expectation()))

    def _expect(self, outcome: Outcome, reason: Reason | None, within: float | None) -> CallScript:
        if not self.utterances:
            raise OptionError(
                f"{outcome.value} is expected before the caller spoke; say caller_speaks() first, "
                "or give an Expectation with the number of the overlap"
            )
        expected = Expectation(outcome, reason, within, len(self.utterances))
        return attrs.evolve(self, expectations=(*self.expectations, expected))

    # --- reading it -------------------------------------------------------------------------

    def __str__(self) -> str:
        from .text import render

        return render(self)

    @property
    def has_audio(self) -> bool:
        """Whether its audio is given, and none is to be made up."""
        return any(isinstance(given.item, Audio) for given in self.inputs)

    def sentinels(self) -> Iterator[Given]:
        """Give what the bridge tells of turns and words, and the other inputs, in order of time."""
        told: list[Given] = []
        for turn in self.turns:
            told.append(Given(turn.start, AgentSpeechStarted()))
            if turn.until is not None:
                told.append(Given(turn.until, AgentSpeechEnded()))
        for said in self.utterances if not self.vad else ():
            heard = round(said.start + said.heard_after, 9)
            told.append(Given(heard, OverlapSpeechStarted(speech_duration=said.heard_after)))
            if said.until is not None:
                told.append(Given(max(said.until, heard), OverlapSpeechEnded()))
        yield from sorted([*told, *self.inputs], key=lambda given: given.at)

    # --- running it -------------------------------------------------------------------------

    def run(self, transport: Transport = "websocket") -> Run:
        """Run it through the core alone: no network, no thread, no time. The same each time.

        ``transport``: a WebSocket's rules for faults and places in flight, HTTP's, or those of a
        judge in this process (``"call"``). Raises :class:`~bargein.testing.ScriptFailure`, an
        ``AssertionError`` with the transcript, where something else comes than was expected.
        """
        from .call import StillCall

        __tracebackhide__ = True
        call = StillCall(transport=transport, **self.options)
        call.detector.stream(
            sample_rate=self.format.sample_rate,
            num_channels=self.format.num_channels,
            encoding=self.format.encoding,
        )
        return call.play(self)

    def run_live(
        self,
        transport: Transport = "websocket",
        *,
        server: ScriptedServer | None = None,
        speed: float = 1.0,
        delays: bool = False,
    ) -> Run:
        """Run it through real drivers, threads and sockets, against a scripted server.

        ``speed``: how much faster than the call; the answers' delays and the detector's timeouts
        go faster as well. ``server``: the one to run against; by default one of its own.
        ``delays``: whether ``within`` is checked too, which a busy machine may fail.
        Raises as :meth:`run`.
        """
        from .live import run_live

        __tracebackhide__ = True
        return run_live(self, transport, server=server, speed=speed, delays=delays)
