"""Servers on threads that make a `bargein.telephony.Line` of each call that comes in."""
