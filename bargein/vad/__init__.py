"""Voice activity: Silero VAD written in NumPy, and the track of speech that a stream keeps.

Importing this package, or :mod:`bargein.vad.track`, reads no weights: they are loaded at the first
:meth:`bargein.vad.silero.SileroVad.load`.
"""
