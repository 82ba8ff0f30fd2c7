"""bargein: did the caller mean to interrupt the voice agent, or only say "mm-hmm"?

The public names resolve on first use, so ``import bargein`` costs next to nothing: no NumPy, no
network library, no model. To add a name, put it in three places: the imports under
``TYPE_CHECKING`` (for type checkers and editors), ``__all__`` (they need it spelled out), and
``_HOMES`` (for the interpreter). ``tests/test_layering.py`` compares the three.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bargein._version import __version__

if TYPE_CHECKING:
    from bargein.audio import AudioFormat
    from bargein.core import (
        AgentSpeechEnded,
        AgentSpeechStarted,
        InterruptionCacheEntry,
        InterruptionDetectionError,
        InterruptionMetrics,
        InterruptionOptions,
        OverlappingSpeechEvent,
        OverlapSpeechEnded,
        OverlapSpeechStarted,
        Prediction,
        Window,
    )
    from bargein.errors import (
        APIConnectionError,
        APIError,
        APIStatusError,
        APITimeoutError,
        AudioFileError,
        BargeinError,
        FrameError,
        MissingExtraError,
        ModelError,
        OptionError,
        ProtocolError,
        StateError,
        StreamEnded,
        UsageError,
    )

__all__ = [
    "APIConnectionError",
    "APIError",
    "APIStatusError",
    "APITimeoutError",
    "AgentSpeechEnded",
    "AgentSpeechStarted",
    "AudioFileError",
    "AudioFormat",
    "BargeinError",
    "FrameError",
    "InterruptionCacheEntry",
    "InterruptionDetectionError",
    "InterruptionMetrics",
    "InterruptionOptions",
    "MissingExtraError",
    "ModelError",
    "OptionError",
    "OverlapSpeechEnded",
    "OverlapSpeechStarted",
    "OverlappingSpeechEvent",
    "Prediction",
    "ProtocolError",
    "StateError",
    "StreamEnded",
    "UsageError",
    "Window",
    "__version__",
]

# Public name -> the module that has it.
_HOMES = {
    "APIConnectionError": "bargein.errors",
    "APIError": "bargein.errors",
    "APIStatusError": "bargein.errors",
    "APITimeoutError": "bargein.errors",
    "AgentSpeechEnded": "bargein.core",
    "AgentSpeechStarted": "bargein.core",
    "AudioFileError": "bargein.errors",
    "AudioFormat": "bargein.audio",
    "BargeinError": "bargein.errors",
    "FrameError": "bargein.errors",
    "InterruptionCacheEntry": "bargein.core",
    "InterruptionDetectionError": "bargein.core",
    "InterruptionMetrics": "bargein.core",
    "InterruptionOptions": "bargein.core",
    "MissingExtraError": "bargein.errors",
    "ModelError": "bargein.errors",
    "OptionError": "bargein.errors",
    "OverlapSpeechEnded": "bargein.core",
    "OverlapSpeechStarted": "bargein.core",
    "OverlappingSpeechEvent": "bargein.core",
    "Prediction": "bargein.core",
    "ProtocolError": "bargein.errors",
    "StateError": "bargein.errors",
    "StreamEnded": "bargein.errors",
    "UsageError": "bargein.errors",
    "Window": "bargein.core",
}

# Hidden from type checkers: a module with a __getattr__ would have every name, misspelt ones too.
if not TYPE_CHECKING:  # pragma: no branch

    def __getattr__(name: str) -> object:
        """Import the module that defines ``name`` and keep the result (PEP 562)."""
        home = _HOMES.get(name)
        if home is None:
            raise AttributeError(f"module 'bargein' has no attribute {name!r}")
        from importlib import import_module

        value = globals()[name] = getattr(import_module(home), name)
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
