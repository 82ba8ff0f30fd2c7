"""The testing kit: call scripts, answers and faults, a scripted backend and a scripted server.

For tests of call logic that depends on verdicts: without a network, without threads and in no
time (:class:`CallScript`, :class:`StillCall`), or against a real server that misbehaves on
command (:class:`ScriptedServer`). With pytest installed, its fixtures are there by themselves
(``bargein_call``, ``bargein_backend``, ``bargein_clock``, ``bargein_server``,
``bargein_tls_server``). ``import bargein`` loads nothing of it.
"""
