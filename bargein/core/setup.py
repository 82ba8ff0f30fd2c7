"""What a call's parts are made from, as one value: the same parts can be made again from it."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from bargein.audio import AudioFormat
from bargein.vad.track import SpeechTrack

from .dispatch import JudgeSettings
from .echo import EchoGate, EchoGateOptions
from .machine import InterruptionMachine
from .options import InterruptionOptions
from .pipeline import Pipeline
from .playout import Playout, PlayoutOptions
from .taps import Tap, TappedMachine, TappedPipeline
from .tracker import OverlapTracker, TrackerOptions
from .verdicts import Reason

__all__ = ["CallSetup"]


@attrs.frozen(kw_only=True)
class CallSetup:
    """A call's settings: all that its pipeline's decisions depend on besides its inputs.

    ``format`` is how bare samples are read until an input says otherwise; ``ready`` whether the
    primary judge takes windows from the start. ``vad``: the library's own VAD finds the overlaps;
    ``activations``: its inner values travel with the windows (for judges that read them). A
    ``tracker`` of ``None`` takes sentinels as they come; a ``gate`` of ``None`` is no echo gate.
    """

    options: InterruptionOptions = attrs.field(factory=InterruptionOptions)
    format: AudioFormat = attrs.field(factory=AudioFormat)
    primary: JudgeSettings = attrs.field(factory=JudgeSettings)
    fallback: JudgeSettings | Reason | None = None
    ready: bool = False
    vad: bool = False
    activations: bool = False
    tracker: TrackerOptions | None = attrs.field(factory=TrackerOptions)
    gate: EchoGateOptions | None = attrs.field(factory=EchoGateOptions)
    playout: PlayoutOptions = attrs.field(factory=PlayoutOptions)

    def build(self, taps: Sequence[Tap] = ()) -> Pipeline:
        """Return a new pipeline and machine, which ``taps`` watch if there are any."""
        speech = SpeechTrack(activations=self.activations) if self.vad else None
        machine = self._machine(speech, taps)
        gate = EchoGate(self.gate) if self.gate is not None and speech is not None else None
        tracker = None if self.tracker is None else OverlapTracker(self.tracker)
        playout = Playout(self.playout)
        if isinstance(machine, TappedMachine):
            return TappedPipeline(
                machine, tracker=tracker, speech=speech, gate=gate, playout=playout
            )
        return Pipeline(machine, tracker=tracker, speech=speech, gate=gate, playout=playout)

    def _machine(self, speech: SpeechTrack | None, taps: Sequence[Tap]) -> InterruptionMachine:
        if taps:
            return TappedMachine(
                taps,
                self.options,
                format=self.format,
                primary=self.primary,
                fallback=self.fallback,
                ready=self.ready,
                speech=speech,
            )
        return InterruptionMachine(
            self.options,
            format=self.format,
            primary=self.primary,
            fallback=self.fallback,
            ready=self.ready,
            speech=speech,
        )
