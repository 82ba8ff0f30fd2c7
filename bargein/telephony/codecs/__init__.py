"""Wire formats of telephony, sans-IO: bytes or text in, typed events out, and back.

No socket, no clock, no thread in here; every parser takes arbitrary input and gives events or a
`bargein.errors.ProtocolError`, nothing else, and holds a bounded amount of it.
"""
