"""Call scripts as text: one line for each thing that happens, times in seconds.

.. code-block:: text

    call: the other flight
    options: threshold=0.7, fallback=fail_open
    format: 8000 Hz mulaw
    agent speaks 0 - 6 s
    caller speaks 2.1 - 2.5 s, heard after 80 ms, judged 0.2, then 0.8 after 120 ms
    caller speaks from 4 s, judged silence, then yes
    gap of 0.1 s at 5 s
    input ends at 5.5 s
    expect interruption within 300 ms
    expect inconclusive (timeout)
    expect no verdict

``expect`` is about the words before it. What may stand after ``judged``: a probability, ``yes``,
``no``, ``silence``, ``drop``, ``reset``, ``drop inside``, ``stall inside``, ``garbage``,
``wrong id``, ``twice``, ``swapped``, ``drip [over 1 s]``, ``error [503]``, ``close [1000]``, each
with ``after 120 ms`` where it takes time; ``then`` leads on to the next window's, and the last
holds for all that follow. ``judged …`` as a line of its own is for words that say nothing
else. ``vad`` as a line: overlaps are found from voice activity. What follows a ``#`` is a comment.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import attrs

from bargein.audio import AudioFormat
from bargein.core import Close, EndOfInput, Gap
from bargein.errors import BargeinError, OptionError

from . import answers as kit
from .answers import Answer, plain
from .script import CallScript, Expectation

__all__ = ["parse", "render"]

_NUMBER = r"(\d+(?:\.\d+)?|\.\d+)"
_SPAN = rf"(?:{_NUMBER}\s*s?\s*(?:-|–|to)\s*{_NUMBER}|from\s+{_NUMBER})\s*s?"
_TIME = rf"{_NUMBER}\s*(ms|s)"

_LIKE = (
    "call: the other flight",
    "options: threshold=0.7, fallback=fail_open",
    "format: 8000 Hz mulaw",
    "agent speaks 0 - 6 s",
    "caller speaks 2.1 - 2.5 s, heard after 80 ms, judged 0.2, then 0.8 after 120 ms",
    "judged silence, then yes",
    "gap of 0.1 s at 3 s",
    "input ends at 5.5 s",
    "hang up at 5 s",
    "lasts 9.5 s",
    "expect interruption within 300 ms",
    "expect inconclusive (timeout)",
    "expect no verdict",
)
"""A line of each kind, for who wrote another."""

_NAMED: dict[str, Answer] = {
    "yes": kit.yes,
    "no": kit.no,
    "silence": kit.silence,
    "drop": kit.drop,
    "reset": kit.reset,
    "drop inside": kit.drop_inside,
    "stall inside": kit.stall_inside,
    "garbage": kit.garbage,
    "wrong id": kit.wrong_id,
    "twice": kit.twice,
    "swapped": kit.swapped,
    "drip": kit.drip(),
    "error": kit.error(),
    "close": kit.close(),
}


# --- reading --------------------------------------------------------------------------------------


def parse(text: str) -> CallScript:
    """Read a script; raises :class:`~bargein.errors.OptionError` that names the line."""
    script = CallScript()
    for number, whole in enumerate(text.splitlines(), 1):
        line = " ".join(whole.partition("#")[0].split())
        if not line:
            continue
        try:
            script = _line(script, line)
        except (BargeinError, ValueError) as exc:
            raise OptionError(f"line {number} of the call script, {line!r}: {exc}") from None
    return script


def _line(script: CallScript, line: str) -> CallScript:
    for pattern, read in _LINES:
        match = re.fullmatch(pattern, line, re.IGNORECASE)
        if match:
            return read(script, match)
    known = [like for like in _LIKE if like.split()[0].rstrip(":s") == line.split()[0].rstrip(":s")]
    raise OptionError(f"not understood; expected a line such as {_listed(known or _LIKE)}")


def _listed(lines: Sequence[str]) -> str:
    *some, last = map(repr, lines)
    return f"{', '.join(some)} or {last}" if some else last


def _span(match: re.Match[str]) -> tuple[float, float | None]:
    start, until, since = match.group(1, 2, 3)
    return (float(since), None) if since else (float(start), float(until))


def _seconds(number: str, unit: str) -> float:
    return round(float(number) * (0.001 if unit.lower() == "ms" else 1.0), 9)


def _caller(script: CallScript, match: re.Match[str]) -> CallScript:
    start, until = _span(match)
    late, unit, judged = match.group(4, 5, 6)
    heard = _seconds(late, unit) if late else 0.0
    script = script.caller_speaks(start, until, heard_after=heard)
    return script.judged(*_answers(judged)) if judged else script


def _answers(text: str) -> list[Answer]:
    return [_answer(one) for one in re.split(r",?\s+then\s+", text)]


def _answer(text: str) -> Answer:
    what, _, late = text.strip().partition(" after ")
    after = 0.0
    if late:
        match = re.fullmatch(_TIME, late.strip())
        if match is None:
            raise OptionError(f"{late!r} is no time; expected such as '120 ms' or '0.5 s'")
        after = _seconds(*match.groups())
    what = what.strip().lower()
    if re.fullmatch(_NUMBER, what):
        return kit.judged(float(what), after=after)
    if what in _NAMED:
        return _NAMED[what].delayed(after)
    if match := re.fullmatch(rf"drip over {_TIME}", what):
        return kit.drip(_seconds(*match.groups())).delayed(after)
    if match := re.fullmatch(r"(error|close) (\d+)", what):
        make = kit.error if match[1] == "error" else kit.close
        return make(int(match[2])).delayed(after)
    raise OptionError(
        f"{what!r} is no answer; expected a probability, or one of {', '.join(_NAMED)}"
    )


def _expect(script: CallScript, match: re.Match[str]) -> CallScript:
    outcome, reason, number, unit = match.groups()
    within = _seconds(number, unit) if number else None
    if outcome == "interruption":
        return script.expect_interruption(within=within)
    if outcome == "backchannel":
        return script.expect_backchannel(within=within)
    return script.expect_inconclusive(reason, within=within)


def _options(script: CallScript, match: re.Match[str]) -> CallScript:
    given: dict[str, Any] = {}
    for entry in match[1].split(","):
        name, equals, value = entry.strip().partition("=")
        if not equals:
            raise OptionError(f"{entry.strip()!r} is no option; expected name=value")
        given[name.strip()] = _value(value.strip())
    return script.with_options(**given)


def _value(text: str) -> Any:
    if text.lower() in ("true", "false", "none"):
        return {"true": True, "false": False, "none": None}[text.lower()]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _format(script: CallScript, match: re.Match[str]) -> CallScript:
    rate, encoding, channels = match.groups()
    fmt = AudioFormat(int(rate), int(channels or 1), encoding or "s16le")
    return attrs.evolve(script, format=fmt)


def _agent(script: CallScript, match: re.Match[str]) -> CallScript:
    return script.agent_speaks(*_span(match))


_Reader = Callable[[CallScript, "re.Match[str]"], CallScript]
_LINES: tuple[tuple[str, _Reader], ...] = (
    (r"call: (.+)", lambda script, match: attrs.evolve(script, name=match[1])),
    (r"options: (.+)", _options),
    (r"format: (\d+) Hz(?: (\w+))?(?: (\d+) channels)?", _format),
    (r"vad", lambda script, match: attrs.evolve(script, vad=True)),
    (rf"lasts {_NUMBER} s", lambda script, match: attrs.evolve(script, lasts=float(match[1]))),
    (rf"agent speaks {_SPAN}", _agent),
    (rf"caller speaks {_SPAN}(?:,? heard after {_TIME})?(?:,? judged (.+))?", _caller),
    (r"judged (.+)", lambda script, match: script.judged(*_answers(match[1]))),
    (
        rf"gap of {_NUMBER} s at {_NUMBER} s",
        lambda script, match: script.gap(float(match[2]), float(match[1])),
    ),
    (rf"input ends at {_NUMBER} s", lambda script, match: script.input_ends(float(match[1]))),
    (
        rf"(?:caller )?hangs? up at {_NUMBER} s",
        lambda script, match: script.hangs_up(float(match[1])),
    ),
    (r"expect no verdict", lambda script, match: script.expect_no_verdict()),
    (
        r"expect (interruption|backchannel|inconclusive)(?: \((\w+)\))?"
        rf"(?: within {_TIME})?",
        _expect,
    ),
)


# --- writing --------------------------------------------------------------------------------------


def render(script: CallScript) -> str:
    """Write a script; what has no words (sounds, recorded inputs) is told as a comment."""
    lines = [f"call: {script.name}"] if script.name else []
    if script.options:
        shown = ", ".join(f"{name}={value}" for name, value in script.options.items())
        lines.append(f"options: {shown}")
    if script.format != AudioFormat():
        fmt = script.format
        channels = f" {fmt.num_channels} channels" if fmt.num_channels > 1 else ""
        lines.append(f"format: {fmt.sample_rate} Hz {fmt.encoding}{channels}")
    lines += ["vad"] * script.vad
    if script.lasts is not None:
        lines.append(f"lasts {plain(script.lasts)} s")
    if script.answers != (kit.no,):
        lines.append(f"judged {_sequence(script.answers)}")
    lines += [f"agent speaks {_words(turn.start, turn.until)}" for turn in script.turns]
    expected = list(script.expectations)
    for number, said in enumerate(script.utterances, 1):
        line = f"caller speaks {_words(said.start, said.until)}"
        if said.heard_after:
            line += f", heard after {plain(said.heard_after * 1e3)} ms"
        if said.answers:
            line += f", judged {_sequence(said.answers)}"
        lines.append(line + ("  # with a sound of its own" if said.sound is not None else ""))
        lines += [f"expect {one}" for one in expected if one.utterance == number]
    lines += [_input(given.at, given.item) for given in script.inputs]
    lines += [f"expect {one}" for one in expected if not _is_told(one, script)]
    return "\n".join(lines)


def _is_told(expected: Expectation, script: CallScript) -> bool:
    return expected.utterance is not None and expected.utterance <= len(script.utterances)


def _words(start: float, until: float | None) -> str:
    return f"from {plain(start)} s" if until is None else f"{plain(start)} - {plain(until)} s"


def _sequence(answers: tuple[Answer, ...]) -> str:
    return ", then ".join(str(answer).removeprefix("judged ") for answer in answers)


def _input(at: float, item: Any) -> str:
    if isinstance(item, Gap):
        return f"gap of {plain(float(item.duration))} s at {plain(at)} s"
    if isinstance(item, EndOfInput):
        return f"input ends at {plain(at)} s"
    if isinstance(item, Close):
        return f"hang up at {plain(at)} s"
    return f"# {plain(at)} s: {type(item).__name__}"
