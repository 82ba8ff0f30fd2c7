"""Make upstream's mistakes on purpose, one at a time, and see their regression tests fail.

``python scripts/try_mistakes.py [LINE…]``. The lines are those of the list in the documentation of
what differs from upstream; ``test_mistake_<line>_…`` in ``tests/core`` and ``tests/streams`` are
their tests. Each mistake is an exact piece of the library's text, which must be there once, and
what stands in its place; it is made in a copy of the tree. What is told, and makes the exit code 1:

- a piece that isn't there any more: whoever moved the code moves the mistake along;
- a mistake that no test notices;
- a test that notices no mistake.

Needs the ``test`` extra; takes some minutes.
"""

from __future__ import annotations

import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FILES = ("tests/core/test_mistakes.py", "tests/streams/test_mistakes.py")

MEMORY = 4 << 30
"""Bytes of address space of each process: a mutated tree may well leak."""
AT_ONCE = 2 * min(4, os.cpu_count() or 1)
"""Mistakes at a time: their tests wait for much of the time for what doesn't come."""
PATIENCE = 120.0
"""Seconds that a line's tests may take."""
BOUND = "3.0"
"""Seconds that tests of a mistake wait for what doesn't come, instead of half a minute."""

Edit = tuple[str, str, str]
"""A file below ``bargein/``, the text in it, and the mistake."""


MISTAKES: list[tuple[int, str, Sequence[Edit]]] = [
    (
        1,
        "no answer at all is a backchannel",
        [
            (
                "core/overlap.py",
                "        if reason is None and answer is not None:\n"
                "            return self._verdict(Outcome.BACKCHANNEL, answer.policy, ",
                "        if self.cause is None:\n"
                "            return self._verdict(Outcome.BACKCHANNEL, None, ",
            )
        ],
    ),
    (
        2,
        "a timeout is looked at only when something else happens",
        [
            (
                "core/machine.py",
                "        wire = self._dispatch.deadline()\n",
                "        wire = None\n",
            )
        ],
    ),
    (
        3,
        "one late reply ends detection",
        [
            (
                "core/connection.py",
                "            self._too_late(session)\n",
                '            self._give_up(APITimeoutError("too late"))\n',
            ),
        ],
    ),
    (
        3,
        "after a late reply nothing more is sent",
        [
            (
                "core/settling.py",
                '            self._dispatch.count("timed_out")\n',
                '            self._dispatch.count("timed_out")\n            self._cutter.stop()\n',
            ),
        ],
    ),
    (
        4,
        "a connection lost with a window in flight ends the stream",
        [
            (
                "core/websocket_connection.py",
                "        self._credit_age()\n"
                "        self._drop_main(gone=gone)\n"
                "        self._attempt_failed(error)\n",
                "        self._drop_main(gone=gone)\n        self._give_up(error)\n",
            )
        ],
    ),
    (
        4,
        "a lost connection ends its overlap",
        [
            (
                "core/machine.py",
                "                    self._give_up(window, Reason.CONNECTION)\n",
                "                    self._give_up(window, Reason.CONNECTION)\n"
                "                    self._cutter.stop()\n",
            )
        ],
    ),
    (
        4,
        "an update loses the windows of the old session",
        [
            (
                "core/websocket_connection.py",
                "        self._leaving[old.number] = old\n        self._emptied(old)\n",
                "        self._fail_windows(old, Reason.CONNECTION)\n"
                "        self._desk.act(Disconnect(old.number))\n",
            )
        ],
    ),
    (
        5,
        "a window decides whatever overlap is open",
        [
            (
                "core/settling.py",
                "        return overlap if overlap is not None and overlap.id == window.overlap "
                "else None\n",
                "        return overlap\n",
            )
        ],
    ),
    (
        6,
        "an unknown type is an error",
        [
            (
                "wire/messages.py",
                "    read = _SERVER.get(kind)\n",
                '    if kind not in _SERVER:\n        raise ProtocolError("unknown")\n'
                "    read = _SERVER.get(kind)\n",
            )
        ],
    ),
    (
        6,
        "no probabilities are an error",
        [
            (
                "wire/probabilities.py",
                "    if value is None:\n        return NO_PROBABILITIES, None\n",
                '    if value is None:\n        return NO_PROBABILITIES, "missing"\n',
            )
        ],
    ),
    (
        6,
        "an error message without a session ends the stream",
        [
            (
                "wire/status.py",
                "    fatal = 400 <= code < 500 and",
                "    fatal = not message.session_id or 400 <= code < 500 and",
            )
        ],
    ),
    (
        7,
        "an error message ends the stream",
        [
            (
                "core/websocket_connection.py",
                "        if not item.error.retryable:\n            self._reject(item.error)\n",
                "        if True:\n            self._reject(item.error)\n",
            )
        ],
    ),
    (
        7,
        "a clean close by an idle server is a fault",
        [
            (
                "core/websocket_connection.py",
                "        if clean and not session.windows and self._call not in _UNSETTLED:\n",
                "        if False:\n",
            )
        ],
    ),
    (
        8,
        "the retry count goes on for ever",
        [("core/retry.py", "        self.failures = 0\n\n    @property\n", "\n    @property\n")],
    ),
    (
        9,
        "the end of an overlap is overlooked while connecting",
        [
            (
                "core/machine.py",
                "        overlap.unsent_since = None\n        overlap.end(\n",
                "        if not self._dispatch.ready:\n            return\n"
                "        overlap.unsent_since = None\n        overlap.end(\n",
            )
        ],
    ),
    (
        9,
        "windows are queued while connecting",
        [
            (
                "core/dispatch.py",
                "        return self._policy or (Judge.PRIMARY if self.ready else None)\n",
                "        return self._policy or Judge.PRIMARY\n",
            )
        ],
    ),
    (
        10,
        "two lone spikes are a high probability",
        [
            (
                "core/verdicts.py",
                "    return float(values.max())\n",
                "    return float(np.sort(np.asarray(probabilities))[-min_frames])\n",
            )
        ],
    ),
    (
        11,
        "a queue of events without an end",
        [
            (
                "runtime/queue.py",
                "            if len(self._events) > self._limit:\n",
                "            if False:\n",
            )
        ],
    ),
    (
        11,
        "unread events keep their windows",
        [
            (
                "runtime/queue.py",
                "            if len(self._events) > self._arrays:\n",
                "            if False:\n",
            )
        ],
    ),
    (
        11,
        "an inbox without an end",
        [
            (
                "core/inbox.py",
                "        if self.waiting > self._limit:\n",
                "        if False:\n",
            )
        ],
    ),
    (
        11,
        "windows are kept for ever",
        [
            (
                "core/buffer.py",
                "        self._live.discard(cut)\n        cut.saved = None\n",
                "        self._save(cut.start + 1)\n",
            )
        ],
    ),
    (
        12,
        "windows are sent whatever is in flight",
        [
            (
                "core/dispatch.py",
                "        if slots is None or (not slots.free and not self._make_room(slots)):\n",
                "        if slots is None:\n",
            )
        ],
    ),
    (
        12,
        "every window that was cut waits its turn",
        [
            (
                "core/dispatch.py",
                "            self._drop_waiting(superseded=True)\n",
                "            return None\n",
            )
        ],
    ),
    (
        13,
        "windows handed over aren't counted",
        [("core/overlap.py", "        self.num_requests += 1\n", "        pass\n")],
    ),
    (
        14,
        "no event where the agent's end meets an overlap",
        [
            (
                "core/machine.py",
                "                overlap.end(self._now, cause=Reason.AGENT_ENDED)\n"
                "            self._settle(overlap)\n",
                "                self._overlap = None\n",
            )
        ],
    ),
    (
        14,
        "a second start swallows the open overlap",
        [
            (
                "core/machine.py",
                "        self.ignored += 1\n",
                "        self._overlap = None\n"
                "        if self.state is State.OPEN:\n"
                "            self._do_open_overlap(item)\n",
            )
        ],
    ),
    (
        14,
        "no event where the input's end meets an overlap",
        [
            (
                "core/machine.py",
                "        overlap = self._overlap\n        if overlap is None:\n"
                "            self._end()\n            return\n",
                "        overlap = self._overlap\n        if True:\n"
                "            self._end()\n            return\n",
            )
        ],
    ),
    (
        14,
        "no event where close meets an overlap",
        [
            (
                "core/machine.py",
                "            overlap.end(self._now, cause=Reason.CLOSED)\n"
                "            self._settle(overlap)\n",
                "            pass\n",
            )
        ],
    ),
    (
        14,
        "requests are added to the next event's",
        [
            (
                "core/overlap.py",
                "        self.num_requests += 1\n",
                '        Overlap.sum = getattr(Overlap, "sum", 0) + 1\n'
                "        self.num_requests = Overlap.sum\n",
            )
        ],
    ),
    (
        15,
        "a frame longer than the window ends the stream",
        [
            (
                "core/buffer.py",
                "        for at in range(0, len(data), self._piece):\n",
                "        if len(data) > self._max * self.format.frame_width:\n"
                '            raise ValueError("the frame is too long")\n'
                "        for at in range(0, len(data), self._piece):\n",
            )
        ],
    ),
    (
        15,
        "another rate ends the stream",
        [
            (
                "core/buffer.py",
                "        self._elapsed += Fraction(self.position, self.format.sample_rate)\n"
                "        self._set(fmt)\n",
                "        if fmt.sample_rate != self.format.sample_rate:\n"
                '            raise ValueError("the rate changed")\n'
                "        self._set(fmt)\n",
            )
        ],
    ),
    (
        16,
        "delays are computed from the user's clock",
        [
            (
                "core/overlap.py",
                "            detection_delay=max(0.0, given.arrived - self.onset),\n",
                "            detection_delay=given.arrived - (self.started_at or self.onset),\n",
            )
        ],
    ),
    (
        16,
        "delays are computed from two readings of the wall clock",
        [
            (
                "stream.py",
                "def _aged(item: Any) -> Any:\n",
                "def _aged(item: Any) -> Any:\n"
                "    if isinstance(item, OverlapSpeechStarted) and item.started_at is None:\n"
                "        onset = time.time() - item.speech_duration\n"
                "        item = attrs.evolve(item, started_at=onset)\n",
            ),
            (
                "core/events.py",
                "            detection_delay=verdict.detection_delay,\n",
                "            detection_delay=epoch(verdict.emitted) - (verdict.started_at or 0),\n",
            ),
        ],
    ),
    (
        17,
        "the end of input settles at once",
        [
            (
                "core/machine.py",
                "        self.state = State.DRAINING\n        self._after_freed()\n",
                "        self.state = State.DRAINING\n        self._settle(overlap)\n",
            )
        ],
    ),
    (
        18,
        "a 401 is retried",
        [
            (
                "wire/status.py",
                "    return status >= 500 or status in _RETRYABLE_4XX\n",
                "    return True\n",
            )
        ],
    ),
    (
        18,
        "a connect timeout isn't retried",
        [
            (
                "core/connection.py",
                "        if not error.retryable or self._given_up:\n",
                "        late = isinstance(error, APITimeoutError)\n"
                "        if late or not error.retryable or self._given_up:\n",
            )
        ],
    ),
]


def limit_memory() -> None:
    """Limit whatever is started from here on: a leak must not take the machine along."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


def run_tests(tree: Path, lines: Iterable[int], patience: float) -> tuple[set[str], set[str]]:
    """Run some lines' tests; return the test functions that ran, and those that failed."""
    names = " or ".join(f"test_mistake_{line}_" for line in lines)
    command = [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", "--tb=no"]
    process = subprocess.Popen(
        [*command, "-k", names, *FILES],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        output, _ = process.communicate(timeout=patience)
    except subprocess.TimeoutExpired:  # whoever hangs has noticed: its line lacks its PASSED
        process.kill()
        output, _ = process.communicate()
    fine: dict[str, bool] = {}
    for text in output.splitlines():
        found = re.match(r"tests/(\w+)/\w+\.py::test_mistake_(\w+)", text)
        if found:
            name = f"{found[1]}: {found[2]}"
            fine[name] = fine.get(name, True) and " PASSED" in text
    if not fine:
        sys.exit(f"no test of these lines ran: {names}\n{output}")
    return set(fine), {name for name, passed in fine.items() if not passed}


def copy_tree(into: Path) -> Path:
    """Copy what the tests need."""
    tree = into / "tree"
    tree.mkdir()
    for name in ("bargein", "tests", "examples"):
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "setup.cfg", "README.md"):
        shutil.copy(ROOT / name, tree / name)
    return tree


def be_impatient(tree: Path) -> None:
    """Have the tests wait for less: what doesn't come now is a mistake that was noticed."""
    servers = tree / "bargein" / "testing" / "sockets.py"
    text, count = re.subn(r"^BOUND = .*$", f"BOUND = {BOUND}", servers.read_text(), flags=re.M)
    if count != 1:
        sys.exit(f"{servers}: expected one line that sets BOUND, found {count}")
    servers.write_text(text)


def try_mistake(line: int, edits: Iterable[Edit]) -> set[str]:
    """Make a mistake in a copy of the tree; return which of its line's tests failed."""
    with tempfile.TemporaryDirectory() as folder:
        tree = copy_tree(Path(folder))
        be_impatient(tree)
        for edit in edits:
            path = tree / "bargein" / edit[0]
            path.write_text(mistaken(path.read_text(encoding="utf-8"), edit), encoding="utf-8")
        return run_tests(tree, [line], PATIENCE)[1]


def try_none(lines: set[int]) -> tuple[set[str], set[str]]:
    """Run the lines' tests without any mistake; return those that ran, and those that failed."""
    with tempfile.TemporaryDirectory() as folder:
        return run_tests(copy_tree(Path(folder)), lines, len(lines) * PATIENCE)


def mistaken(text: str, edit: Edit) -> str:
    """Return a file's text with the mistake in it. Raises ``LookupError`` where it has no place."""
    name, right, wrong = edit
    if text.count(right) != 1:
        raise LookupError(f"bargein/{name} holds this {text.count(right)} times:\n{right}")
    text = text.replace(right, wrong)
    try:
        compile(text, name, "exec")
    except SyntaxError as error:
        raise LookupError(f"bargein/{name} can't be read with this:\n{wrong}") from error
    return text


def main(arguments: Sequence[str]) -> int:
    """Try the mistakes of some lines, or of all; print a table."""
    limit_memory()
    wanted = {int(each) for each in arguments} or {line for line, _, _ in MISTAKES}
    chosen = [mistake for mistake in MISTAKES if mistake[0] in wanted]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        none = pool.submit(try_none, wanted)
        tries = [pool.submit(try_mistake, line, edits) for line, _, edits in chosen]
        blind, failed = none.result()
        faults = [f"{name} fails without any mistake" for name in sorted(failed)]
        for (line, what, _), tried in zip(chosen, tries, strict=True):
            try:
                failed = tried.result()
            except LookupError as error:
                faults.append(f"line {line}, {what}: {error}")
                continue
            blind -= failed
            if not failed:
                faults.append(f"line {line}: no test notices that {what}")
            print(f"{line:3} {what}", flush=True)
            for name in sorted(failed) or ["NOTHING"]:
                print(f"      noticed by {name}", flush=True)
    faults += [f"{name} notices no mistake" for name in sorted(blind)]
    print("\n".join(["", *faults]) if faults else "\neach mistake is noticed, by each of its tests")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
