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
    from bargein.audio import (
        AudioFormat,
    )
    from bargein.backends import (
        Backend,
        BatchBackend,
        FunctionBackend,
        Session,
    )
    from bargein.backends.learned import (
        LearnedBackend,
    )
    from bargein.backends.local import (
        LocalBackend,
    )
    from bargein.check import (
        CheckReport,
        Finding,
    )
    from bargein.core import (
        AgentSpeechEnded,
        AgentSpeechStarted,
        EndOfInput,
        Flush,
        Gap,
        InterruptionCacheEntry,
        InterruptionDetectionError,
        InterruptionMetrics,
        InterruptionOptions,
        Metadata,
        Outcome,
        OverlappingSpeechEvent,
        OverlapSpeechEnded,
        OverlapSpeechStarted,
        Prediction,
        Reason,
        SetFormat,
        Window,
        estimate_probability,
    )
    from bargein.core.connect_options import (
        APIConnectOptions,
    )
    from bargein.core.options import (
        NOT_GIVEN,
    )
    from bargein.core.tracker import (
        TrackerOptions,
    )
    from bargein.detector import (
        AdaptiveInterruptionDetector,
    )
    from bargein.drivers.tls import (
        TlsOptions,
    )
    from bargein.errors import (
        APIConnectionError,
        APIError,
        APIStatusError,
        APITimeoutError,
        AudioFileError,
        BargeinError,
        DatasetError,
        FrameError,
        MissingExtraError,
        ModelError,
        OptionError,
        ProtocolError,
        RecordingError,
        StateError,
        StreamEnded,
        UsageError,
    )
    from bargein.runtime.pool import configure_pools
    from bargein.shadow import (
        Disagreement,
        Shadow,
        ShadowCounts,
    )
    from bargein.stream import (
        InterruptionStreamBase,
        StreamStats,
    )
    from bargein.streams import (
        InterruptionBackendStream,
        InterruptionHttpStream,
        InterruptionWebSocketStream,
    )
    from bargein.wire.http import (
        InterruptionResponse,
    )
    from bargein.wire.messages import (
        InterruptionWSDetectedMessage,
        InterruptionWSErrorMessage,
        InterruptionWSInferenceDoneMessage,
        InterruptionWSMessageType,
        InterruptionWSSessionClosedMessage,
        InterruptionWSSessionCloseMessage,
        InterruptionWSSessionCreatedMessage,
        InterruptionWSSessionCreateMessage,
        InterruptionWSSessionCreateSettings,
    )

__all__ = [
    "APIConnectOptions",
    "APIConnectionError",
    "APIError",
    "APIStatusError",
    "APITimeoutError",
    "AdaptiveInterruptionDetector",
    "AgentSpeechEnded",
    "AgentSpeechStarted",
    "AudioFileError",
    "AudioFormat",
    "Backend",
    "BargeinError",
    "BatchBackend",
    "CheckReport",
    "DatasetError",
    "Disagreement",
    "EndOfInput",
    "Finding",
    "Flush",
    "FrameError",
    "FunctionBackend",
    "Gap",
    "InterruptionBackendStream",
    "InterruptionCacheEntry",
    "InterruptionDetectionError",
    "InterruptionHttpStream",
    "InterruptionMetrics",
    "InterruptionOptions",
    "InterruptionResponse",
    "InterruptionStreamBase",
    "InterruptionWSDetectedMessage",
    "InterruptionWSErrorMessage",
    "InterruptionWSInferenceDoneMessage",
    "InterruptionWSMessageType",
    "InterruptionWSSessionCloseMessage",
    "InterruptionWSSessionClosedMessage",
    "InterruptionWSSessionCreateMessage",
    "InterruptionWSSessionCreateSettings",
    "InterruptionWSSessionCreatedMessage",
    "InterruptionWebSocketStream",
    "LearnedBackend",
    "LocalBackend",
    "Metadata",
    "MissingExtraError",
    "ModelError",
    "NOT_GIVEN",
    "OptionError",
    "Outcome",
    "OverlapSpeechEnded",
    "OverlapSpeechStarted",
    "OverlappingSpeechEvent",
    "Prediction",
    "ProtocolError",
    "Reason",
    "RecordingError",
    "Session",
    "SetFormat",
    "Shadow",
    "ShadowCounts",
    "StateError",
    "StreamEnded",
    "StreamStats",
    "TlsOptions",
    "TrackerOptions",
    "UsageError",
    "Window",
    "__version__",
    "configure_pools",
    "estimate_probability",
]

# Public name -> the module that has it.
_HOMES = {
    "APIConnectOptions": "bargein.core.connect_options",
    "APIConnectionError": "bargein.errors",
    "APIError": "bargein.errors",
    "APIStatusError": "bargein.errors",
    "APITimeoutError": "bargein.errors",
    "AdaptiveInterruptionDetector": "bargein.detector",
    "AgentSpeechEnded": "bargein.core",
    "AgentSpeechStarted": "bargein.core",
    "AudioFileError": "bargein.errors",
    "AudioFormat": "bargein.audio",
    "Backend": "bargein.backends",
    "BargeinError": "bargein.errors",
    "BatchBackend": "bargein.backends",
    "CheckReport": "bargein.check",
    "DatasetError": "bargein.errors",
    "Disagreement": "bargein.shadow",
    "EndOfInput": "bargein.core",
    "Finding": "bargein.check",
    "Flush": "bargein.core",
    "FrameError": "bargein.errors",
    "FunctionBackend": "bargein.backends",
    "Gap": "bargein.core",
    "InterruptionBackendStream": "bargein.streams",
    "InterruptionCacheEntry": "bargein.core",
    "InterruptionDetectionError": "bargein.core",
    "InterruptionHttpStream": "bargein.streams",
    "InterruptionMetrics": "bargein.core",
    "InterruptionOptions": "bargein.core",
    "InterruptionResponse": "bargein.wire.http",
    "InterruptionStreamBase": "bargein.stream",
    "InterruptionWSDetectedMessage": "bargein.wire.messages",
    "InterruptionWSErrorMessage": "bargein.wire.messages",
    "InterruptionWSInferenceDoneMessage": "bargein.wire.messages",
    "InterruptionWSMessageType": "bargein.wire.messages",
    "InterruptionWSSessionCloseMessage": "bargein.wire.messages",
    "InterruptionWSSessionClosedMessage": "bargein.wire.messages",
    "InterruptionWSSessionCreateMessage": "bargein.wire.messages",
    "InterruptionWSSessionCreateSettings": "bargein.wire.messages",
    "InterruptionWSSessionCreatedMessage": "bargein.wire.messages",
    "InterruptionWebSocketStream": "bargein.streams",
    "LearnedBackend": "bargein.backends.learned",
    "LocalBackend": "bargein.backends.local",
    "Metadata": "bargein.core",
    "MissingExtraError": "bargein.errors",
    "ModelError": "bargein.errors",
    "NOT_GIVEN": "bargein.core.options",
    "OptionError": "bargein.errors",
    "Outcome": "bargein.core",
    "OverlapSpeechEnded": "bargein.core",
    "OverlapSpeechStarted": "bargein.core",
    "OverlappingSpeechEvent": "bargein.core",
    "Prediction": "bargein.core",
    "ProtocolError": "bargein.errors",
    "Reason": "bargein.core",
    "RecordingError": "bargein.errors",
    "Session": "bargein.backends",
    "SetFormat": "bargein.core",
    "Shadow": "bargein.shadow",
    "ShadowCounts": "bargein.shadow",
    "StateError": "bargein.errors",
    "StreamEnded": "bargein.errors",
    "StreamStats": "bargein.stream",
    "TlsOptions": "bargein.drivers.tls",
    "TrackerOptions": "bargein.core.tracker",
    "UsageError": "bargein.errors",
    "Window": "bargein.core",
    "configure_pools": "bargein.runtime.pool",
    "estimate_probability": "bargein.core",
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
