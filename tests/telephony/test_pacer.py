"""The pacer, step by step: what goes to the network when. 8 kHz u-law: 160 bytes are 20 ms."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bargein.audio import AudioFormat, decode, encode_alaw, encode_mulaw
from bargein.telephony.pacer import LEAD, Clear, Mark, Pacer, PacerAction, Passage, Write, softer

ULAW = AudioFormat(8000, 1, "mulaw")


def tone(seconds: float, amplitude: int = 8000) -> bytes:
    """u-law whose bytes differ from place to place, so that order shows."""
    n = np.arange(round(seconds * 8000))
    return encode_mulaw((amplitude * np.sin(n * n / 9000.0)).astype(np.int16))


def audio(actions: list[PacerAction]) -> bytes:
    return b"".join(action.audio for action in actions if isinstance(action, Write))


def kinds(actions: list[PacerAction]) -> str:
    return " ".join(type(action).__name__ for action in actions)


def unpaced(**options: Any) -> Pacer:
    return Pacer(ULAW, frame=160, **options)


def buffering(**options: Any) -> Pacer:
    return Pacer(ULAW, frame=160, paced_by_peer=True, marks=True, **options)


def run(pacer: Pacer, begin: float, seconds: float, step: float = 0.02) -> bytes:
    """Tick as the pacing thread does; marks come back when they were played."""
    sent = b""
    for number in range(round(seconds / step)):
        now = begin + number * step
        sent += audio(pacer.tick(now))
    return sent


def test_a_peer_that_plays_at_once_is_kept_at_most_60_ms_ahead() -> None:
    pacer, sound = unpaced(), tone(1.0)
    pacer.add(Passage(sound))

    first = pacer.tick(10.0)
    assert kinds(first) == "Write Write Write"
    assert pacer.clock.ahead(10.0) == pytest.approx(LEAD)
    assert pacer.tick(10.01) == []
    assert kinds(pacer.tick(10.02)) == "Write"
    assert pacer.clock.ahead(10.02) == pytest.approx(LEAD)


def test_all_of_it_arrives_in_order() -> None:
    pacer, sounds = unpaced(), [tone(0.33), tone(0.05, 4000), tone(0.5, 2000)]
    for sound in sounds:
        pacer.add(Passage(sound))

    assert run(pacer, 10.0, 1.0) == b"".join(sounds)
    assert not pacer.active
    assert pacer.finished(10.0 + 0.88)
    assert not pacer.finished(10.0 + 0.87)


def test_a_thread_that_was_late_sends_no_burst() -> None:
    pacer = unpaced()
    pacer.add(Passage(tone(2.0)))
    pacer.tick(10.0)

    assert len(audio(pacer.tick(11.0))) == 480


def test_the_lead_may_be_shorter_than_a_frame() -> None:
    pacer = unpaced(lead=0.01)
    pacer.add(Passage(tone(1.0)))

    assert len(audio(pacer.tick(10.0))) == 160
    assert pacer.tick(10.015) == []
    assert len(audio(pacer.tick(10.02))) == 160


def test_a_peer_that_buffers_gets_more_and_marks() -> None:
    pacer = buffering()
    pacer.add(Passage(tone(0.5)))

    actions = pacer.tick(10.0)
    assert len(audio(actions)) == 4000
    assert [action.name for action in actions if isinstance(action, Mark)] == [
        *("bargein-1", "bargein-2", "bargein-3")
    ]
    assert isinstance(actions[-1], Mark)
    assert pacer.tick(10.02) == []


def test_it_is_finished_when_the_last_mark_is_back() -> None:
    pacer = buffering()
    pacer.add(Passage(tone(0.1)))
    pacer.tick(10.0)

    assert not pacer.finished(10.3)
    pacer.mark_returned("bargein-1", False, 10.3)
    assert pacer.finished(10.3)


def test_more_may_come() -> None:
    pacer, sound = unpaced(), tone(0.05)
    pacer.open()
    pacer.add(Passage(sound[:100]))
    assert pacer.tick(10.0) == []  # less than a frame: its rest is coming
    pacer.add(Passage(sound[100:]))
    assert len(audio(pacer.tick(10.0))) == 320
    assert pacer.active
    assert not pacer.finished(11.0)

    pacer.close()
    assert len(audio(pacer.tick(11.0))) == 80
    assert pacer.finished(11.01)


def test_no_end_mark_while_more_may_come() -> None:
    pacer = buffering()
    pacer.open()
    pacer.add(Passage(tone(0.1)))
    assert kinds(pacer.tick(10.0)) == "Write Write Write Write Write"
    pacer.close()
    assert kinds(pacer.tick(10.02)) == "Mark"


def test_a_pause_takes_back_what_the_peer_has_not_played() -> None:
    pacer, sound = buffering(), tone(1.0)
    pacer.add(Passage(sound))
    pacer.tick(10.0)

    assert pacer.pause(10.2) == [Clear()]
    assert pacer.tick(10.4) == []
    assert pacer.active
    again = audio(pacer.resume(15.0))
    assert again == sound[1600 : 1600 + len(again)]
    assert pacer.heard(15.1) == 2400


def test_a_pause_where_nothing_can_be_taken_back() -> None:
    pacer, sound = unpaced(), tone(1.0)
    pacer.add(Passage(sound))
    pacer.tick(10.0)

    assert pacer.pause(10.01) == []
    assert pacer.tick(10.5) == []
    assert audio(pacer.resume(11.0)) == sound[480:960]


def test_a_duck_is_heard_from_where_the_caller_is() -> None:
    pacer, sound = buffering(), tone(1.0)
    pacer.add(Passage(sound))
    pacer.tick(10.0)

    actions = pacer.duck(-12.0, 10.2)
    assert actions[0] == Clear()
    ducked = decode(audio(actions), ULAW)
    loud = decode(sound[1600 : 1600 + len(ducked)], ULAW)
    assert 20 * np.log10(ducked.std() / loud.std()) == pytest.approx(-12, abs=0.3)
    back = pacer.resume(10.4)
    assert back[0] == Clear()
    assert audio(back) == sound[3200 : 3200 + len(audio(back))]


def test_a_stop_drops_the_programme() -> None:
    pacer = buffering()
    pacer.add(Passage(tone(1.0), owner="one"))
    pacer.add(Passage(tone(1.0), owner="two"))
    pacer.tick(10.0)
    pacer.mark_returned("bargein-1", False, 10.2)

    assert pacer.stop(10.3) == [Clear()]
    assert pacer.end == pacer.clock.handed == 2400
    assert not pacer.active
    assert pacer.finished(10.3)
    assert pacer.tick(10.4) == []


def test_after_a_stop_a_peer_that_plays_at_once_plays_its_60_ms() -> None:
    pacer, other = unpaced(), tone(0.1, 500)
    pacer.add(Passage(tone(1.0)))
    pacer.tick(10.0)

    assert pacer.stop(10.01) == []
    assert not pacer.finished(10.05)
    assert pacer.finished(10.06)
    assert pacer.clock.heard(20.0) == 480
    pacer.add(Passage(other))
    assert run(pacer, 20.0, 0.2) == other


def test_a_stop_before_anything_was_said() -> None:
    pacer = unpaced()
    pacer.open()
    pacer.add(Passage(tone(1.0)))

    assert pacer.stop(10.0) == []
    assert pacer.finished(10.0)
    assert pacer.end == 0


def test_a_peer_that_takes_no_more() -> None:
    pacer = unpaced()
    pacer.add(Passage(tone(1.0)))
    pacer.flow(False)
    assert pacer.tick(10.0) == []
    pacer.flow(True)
    assert len(audio(pacer.tick(10.0))) == 480


def test_which_passage_is_heard() -> None:
    pacer = unpaced()
    assert pacer.passage(9.0) is None
    first, second = Passage(tone(0.1)), Passage(tone(0.1), interruptible=False)
    pacer.add(first)
    pacer.add(second)
    run(pacer, 10.0, 0.06)
    assert pacer.passage(10.05) is first
    run(pacer, 10.06, 0.06)
    assert pacer.passage(10.1) is second
    run(pacer, 10.12, 0.1)
    assert pacer.passage(10.2) is second
    assert (second.begin, second.end) == (800, 1600)
    pacer.tick(10.3)
    assert pacer.passage(10.3) is second


def test_the_reference_is_what_is_played() -> None:
    pacer, sound = buffering(), tone(1.0)
    pacer.add(Passage(sound))
    pacer.tick(10.0)

    heard = b"".join(pacer.reference(10.0 + n * 0.02) for n in range(10))
    assert heard == sound[: len(heard)]
    assert 0.18 + 0.04 <= len(heard) / 8000 <= 0.18 + 0.06
    pacer.pause(10.2)
    assert len(pacer.reference(20.0)) <= 0.06 * 8000
    pacer.resume(20.0)
    assert pacer.reference(20.0) == sound[1600:2080]


@pytest.mark.parametrize("encoding", ["s16le", "s16be", "u8", "mulaw", "alaw"])
def test_softer_in_every_encoding(encoding: str) -> None:
    loud = (8000 * np.sin(np.arange(800) / 5.0)).astype(np.int16)
    encoded = {
        "s16le": loud.astype("<i2").tobytes(),
        "s16be": loud.astype(">i2").tobytes(),
        "u8": ((loud >> 8) + 128).astype(np.uint8).tobytes(),
        "mulaw": encode_mulaw(loud),
        "alaw": encode_alaw(loud),
    }[encoding]
    fmt = AudioFormat(8000, 1, encoding)  # type: ignore[arg-type]

    quiet = softer(encoded, fmt, 0.25)

    assert len(quiet) == len(encoded)
    before, after = decode(encoded, fmt), decode(quiet, fmt)
    assert after.std() / before.std() == pytest.approx(0.25, abs=0.02)


STEPS = st.lists(
    st.tuples(
        st.sampled_from([0.0, 0.02, 0.02, 0.13, 1.0]),
        st.sampled_from(["add", "tick", "tick", "pause", "duck", "resume", "stop", "mark", "flow"]),
    ),
    max_size=30,
)


@settings(max_examples=50, deadline=None)
@given(STEPS, st.booleans())
def test_never_too_far_ahead_and_all_is_heard(steps: list[tuple[float, str]], peer: bool) -> None:
    pacer = Pacer(ULAW, frame=160, paced_by_peer=peer, marks=peer)
    now = 10.0
    names: list[str] = []
    for step, what in steps:
        now += step
        actions: list[PacerAction] = []
        if what == "add":
            pacer.add(Passage(tone(0.15)))
        elif what == "pause":
            actions = pacer.pause(now)
        elif what == "duck":
            actions = pacer.duck(-12, now)
        elif what == "resume":
            actions = pacer.resume(now)
        elif what == "stop":
            actions = pacer.stop(now)
        elif what == "mark" and names:
            pacer.mark_returned(names.pop(0), False, now)
        elif what == "flow":
            pacer.flow(True)
        else:
            actions = pacer.tick(now)
        names += [action.name for action in actions if isinstance(action, Mark)]
        assert pacer.clock.ahead(now) <= pacer._lead + 1e-6
        assert pacer.clock.handed <= pacer.end
        assert (Clear() in actions) <= peer
    pacer.resume(now)
    for _ in range(200):
        now += 0.05
        pacer.tick(now)
        if pacer.finished(now):
            break
    assert pacer.finished(now)
    assert pacer.clock.heard(now) == pacer.end
