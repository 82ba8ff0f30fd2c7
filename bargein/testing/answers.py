"""What may become of a window: answers, and faults instead of them. Plain values.

The same value means the same to a script that runs without a network, to a backend in this
process, and to a server on a real port. Durations are in seconds.

>>> judged(0.8, after=0.12)
Answer(Kind.REPLY, probability=0.8, after=0.12)
>>> [str(answer) for answer in (yes, no, drip(1.0), error(503), judged(0.8, after=0.12))]
['yes', 'no', 'drip over 1 s', 'error 503', 'judged 0.8 after 120 ms']
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from enum import Enum
from typing import Any

import attrs
import numpy as np

from bargein.core import Prediction
from bargein.core.checks import seconds
from bargein.core.window import FRAME_SAMPLES
from bargein.errors import OptionError

__all__ = [
    "FAULTS",
    "Answer",
    "Kind",
    "close",
    "drip",
    "drop",
    "drop_inside",
    "error",
    "garbage",
    "judged",
    "no",
    "plain",
    "raw",
    "reset",
    "seeded",
    "silence",
    "stall_inside",
    "swapped",
    "twice",
    "wrong_id",
    "yes",
]

DRIP = 1.0
"""Seconds that a dripping reply takes: longer than the 0.7 s that a window is waited for."""

WRONG = 1 << 40
"""Added to a window's id where a reply is to name another: no stream ever counts so far."""


def plain(value: float) -> str:
    """Return a number in words, all of it: to a nanosecond, without a trailing zero.

    >>> plain(2.0), plain(0.29 * 1e3), plain(123.4567)
    ('2', '290', '123.4567')
    """
    return f"{value:.9f}".rstrip("0").rstrip(".")


class Kind(str, Enum):
    """What kind of thing happens."""

    REPLY = "reply"
    SILENCE = "silence"
    DRIP = "drip"
    TWICE = "twice"
    SWAPPED = "swapped"
    WRONG_ID = "wrong_id"
    GARBAGE = "garbage"
    RAW = "raw"
    ERROR = "error"
    CLOSE = "close"
    DROP = "drop"
    RESET = "reset"
    DROP_INSIDE = "drop_inside"
    STALL_INSIDE = "stall_inside"


def _probabilities(value: Any) -> Any:
    """Check one probability, or one for each 25 ms."""
    if value is None:
        return None
    whole = tuple(float(each) for each in value) if isinstance(value, Sequence) else float(value)
    for each in whole if isinstance(whole, tuple) else (whole,):
        if not 0.0 <= each <= 1.0:
            raise OptionError(f"an answer's probability came as {each!r}; expected 0 to 1")
    return whole


def _shown(value: float | tuple[float, ...]) -> str:
    return plain(value) if isinstance(value, float) else f"{len(value)} probabilities"


@attrs.frozen(repr=False)
class Answer:
    """What becomes of one window, ``after`` seconds from when it was handed over. Immutable.

    ``probability``
        Of an interruption: one for the whole window, or a sequence of one per 25 ms, of which
        the newest count where the window is shorter and the first is repeated where it is longer.
    ``decision``
        The judge's own word; ``None``: the probability against the threshold.
    ``lasts``
        Seconds over which a reply drips.
    ``code``, ``text``, ``headers``
        Of an error, a CLOSE frame, or raw text (in which ``{id}`` is the window's).

    Make one with the functions of this module.
    """

    kind: Kind = Kind.REPLY
    probability: float | tuple[float, ...] | None = attrs.field(
        default=None, converter=_probabilities
    )
    decision: bool | None = None
    after: float = attrs.field(default=0.0, validator=seconds)
    lasts: float = attrs.field(default=0.0, validator=seconds)
    code: int | None = None
    text: str = ""
    headers: tuple[str, ...] = ()

    def delayed(self, after: float) -> Answer:
        """Return the same, so many seconds after the window was handed over."""
        return attrs.evolve(self, after=after)

    def probabilities(self, samples: int) -> list[float]:
        """Return one probability for each 25 ms of a window of so many samples at 16 kHz."""
        frames = -(-samples // FRAME_SAMPLES)
        if self.probability is None:
            return []
        if isinstance(self.probability, float):
            return [self.probability] * frames
        known = list(self.probability[-frames:]) if frames else []
        return known[:1] * (frames - len(known)) + known

    def prediction(self, samples: int) -> Prediction:
        """Return what a judge says by it of a window of so many samples."""
        return Prediction(np.asarray(self.probabilities(samples), np.float32), self.decision)

    def __str__(self) -> str:
        return self._words() + (f" after {plain(self.after * 1e3)} ms" if self.after else "")

    def _words(self) -> str:
        if self.kind is Kind.REPLY:
            if self.decision is not None:
                return "yes" if self.decision else "no"
            return (
                "judged nothing"
                if self.probability is None
                else (f"judged {_shown(self.probability)}")
            )
        words = self.kind.value.replace("_", " ")
        if self.kind is Kind.DRIP:
            return f"{words} over {plain(self.lasts)} s"
        return words if self.code is None else f"{words} {self.code}"

    def __repr__(self) -> str:
        fields = attrs.fields(Answer)[1:]
        changed = [f for f in fields if getattr(self, f.name) != f.default]
        words = [f"{f.name}={getattr(self, f.name)!r}" for f in changed]
        return f"Answer({', '.join([str(self.kind), *words])})"


# --- answers in order -----------------------------------------------------------------------------

YES, NO = 0.9, 0.1
"""The probabilities of a plain yes and a plain no: far from any threshold that is in use."""

yes = Answer(probability=YES, decision=True)
"""The window holds an interruption, by the judge's own decision."""

no = Answer(probability=NO, decision=False)
"""It doesn't."""


def judged(
    probability: float | Sequence[float], *, after: float = 0.0, decision: bool | None = None
) -> Answer:
    """A probability, for the threshold to decide (or ``decision``, the judge's own word)."""
    return Answer(probability=probability, decision=decision, after=after)


# --- faults -----------------------------------------------------------------------------------

silence = Answer(Kind.SILENCE)
"""No answer, ever."""

drop = Answer(Kind.DROP)
"""The connection ends in order (TCP's FIN), without an answer and without a goodbye."""

reset = Answer(Kind.RESET)
"""The connection ends abruptly (TCP's RST)."""

drop_inside = Answer(Kind.DROP_INSIDE, YES)
"""Half a positive reply, and the end of the connection."""

stall_inside = Answer(Kind.STALL_INSIDE, YES)
"""Half a positive reply, and nothing more; the connection stays."""

garbage = Answer(Kind.GARBAGE)
"""A reply that can't be understood: bytes that are no JSON."""

wrong_id = Answer(Kind.WRONG_ID, YES, decision=True)
"""A positive reply that names a window that never was."""

twice = Answer(Kind.TWICE, NO, decision=False)
"""A negative reply, sent twice. (HTTP has no such thing: there it is sent once.)"""

swapped = Answer(Kind.SWAPPED, NO, decision=False)
"""A negative reply, held back until the next window was answered: the two change places."""


def drip(lasts: float = DRIP, *, probability: float = YES) -> Answer:
    """A reply that comes byte by byte, spread over so many seconds."""
    return Answer(Kind.DRIP, probability, lasts=lasts)


def error(code: int = 500, text: str = "", *headers: str) -> Answer:
    """An ``error`` message with this code, or over HTTP this status; ``headers`` are HTTP's."""
    return Answer(Kind.ERROR, code=code, text=text, headers=headers)


def close(code: int | None = 1000) -> Answer:
    """A clean end: a CLOSE frame, and whatever the client says to it. Over HTTP as :data:`drop`."""
    return Answer(Kind.CLOSE, code=code)


def raw(text: str) -> Answer:
    """A text message of this wording, or over HTTP a 200 with it; ``{id}`` is the window's."""
    return Answer(Kind.RAW, text=text)


FAULTS: tuple[Answer, ...] = (
    *(silence, garbage, wrong_id, twice, swapped, drop, reset, drop_inside, stall_inside),
    *(drip(), error(500), error(503), close(1011)),
)
"""One of each fault that a stream outlives."""


def seeded(
    seed: int,
    *,
    share: float = 0.2,
    faults: Sequence[Answer] = FAULTS,
    otherwise: Answer = no,
    jitter: float = 0.0,
) -> Iterator[Answer]:
    """Give answers without end, a ``share`` of them faults, by a seed: the same each time.

    ``jitter``: each comes up to so many seconds later.
    """
    dice = random.Random(seed)
    while True:
        answer = dice.choice(faults) if dice.random() < share else otherwise
        yield answer.delayed(answer.after + dice.uniform(0.0, jitter)) if jitter else answer
