"""Where the time goes between a caller's first sound and the verdict.

    python -m training.delays TEST LABELLED --into training/figures.json

Plays the test split's interruptions to the shipped judge and adds, under ``delays``, what lies
between the acoustic onset and the deciding window. Only the judge's own share hangs on its weights:
the rest is the VAD's, the tracker's and the cadence of windows.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import attrs
import numpy as np

from bargein.backends import Session
from bargein.backends.learned import LearnedBackend
from bargein.core import Prediction, Window
from bargein.core.tracker import TrackerOptions
from bargein.core.window import FRAME_SAMPLES
from bargein.vad.track import CHUNK
from training.evaluate import clips_of
from training.replay import AFTERMATH, RATE, LabelledClip, play

STEPS = (
    ("noticed", "the VAD's first chunk of speech is over"),
    ("open", "the tracker has heard enough of it: the overlap opens"),
    ("first", "the first window is cut, one interval later"),
    ("passed", "the audio is there at which the judge passes its limit"),
    ("decided", "the window that holds it is cut"),
)
"""What happens, in order; times are from the acoustic onset."""


@attrs.define
class Stopwatch:
    """A session that passes windows on and takes down, overlap by overlap, when what happened."""

    session: Session
    threshold: float
    times: dict[int, dict[str, float]] = attrs.field(factory=dict)

    def predict(self, window: Window) -> Prediction:
        """As the other judges, but never an interruption."""
        prediction = self.session.predict(window)
        assert window.start is not None
        assert window.speech_start is not None
        assert window.speech is not None
        cut = (window.start + len(window.samples)) / RATE
        if window.overlap not in self.times:
            onset = window.start + window.speech_start
            chunk = -(-onset // CHUNK) + 1
            self.times[window.overlap] = {
                "noticed": chunk * CHUNK / RATE,
                "open": onset / RATE + TrackerOptions().min_speech,
                "first": cut,
            }
        passed = prediction.probabilities >= np.float32(self.threshold)
        both = np.flatnonzero(passed[1:] & passed[:-1])
        if len(both) and "decided" not in self.times[window.overlap]:
            end = window.start + (int(both[0]) + 2) * FRAME_SAMPLES
            self.times[window.overlap] |= {"passed": min(end / RATE, cut), "decided": cut}
        return Prediction(np.zeros(1, np.float32), is_interruption=False)

    def close(self) -> None:
        """As the other session."""
        self.session.close()


def times_of(clip: LabelledClip, backend: LearnedBackend) -> Iterator[dict[str, float]]:
    """Seconds from the onset to each step, where the clip is taken for an interruption."""
    assert backend.default_threshold is not None
    watch = Stopwatch(backend.open_session(None), backend.default_threshold)
    caller, agent = clip.samples()
    play(
        *(caller, agent, clip.agent_start, watch),
        default_threshold=backend.default_threshold,
        activations=True,
        frame=RATE // 20,
    )
    for times in watch.times.values():
        if clip.onset <= times.get("decided", 0.0) <= clip.end + AFTERMATH:
            yield {name: times[name] - clip.onset for name, _ in STEPS}
            return


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("test", type=Path, help="the folder that training.test_set filled")
    parser.add_argument("labelled", type=Path, help="the folder that training.labelled_set filled")
    parser.add_argument("--into", type=Path, required=True, help="training.evaluate's figures")
    arguments = parser.parse_args()
    backend = LearnedBackend()
    found = [
        times
        for clip, suite in clips_of(arguments.test, arguments.labelled)
        if clip.label == "interruption" and suite != "ulaw-echo-20"
        for times in times_of(clip, backend)
    ]
    body = []
    for name, meaning in STEPS:
        low, median, high = np.quantile([times[name] for times in found], (0.1, 0.5, 0.9))
        body.append(
            {"step": meaning, "tenth": round(low, 3), "median": round(median, 3)}
            | {"ninety": round(high, 3)}
        )
        print(f"{1000 * low:5.0f} {1000 * median:5.0f} {1000 * high:5.0f} ms  {meaning}")
    figures = json.loads(arguments.into.read_text("utf-8"))
    figures["delays"] = {"n": len(found), "steps": body}
    arguments.into.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
