"""The wire format: bytes and JSON on one side, messages on the other.

Nothing here does I/O, reads a clock, draws a random number or logs. What needs the time of day or
a mask key takes it as an argument.
"""
