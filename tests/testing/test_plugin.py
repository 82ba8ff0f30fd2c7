"""The pytest plugin in somebody's own project."""

from __future__ import annotations

import json

import pytest

import bargein.testing
from tests.fresh import run_fresh


def test_a_project_of_one_page(kit_pytester: pytest.Pytester) -> None:
    kit_pytester.makepyfile(
        '''
        import pytest

        def test_interruption(bargein_call, bargein_clock):
            bargein_call.play("""
                agent speaks 0 - 6 s
                caller speaks 2.1 - 2.5 s, judged 0.8 after 120 ms
                expect interruption within 300 ms
            """)
            assert bargein_call.events[0].created_at == 2.32
            assert bargein_clock is bargein_call.clock

        @pytest.mark.bargein(threshold=0.9, transport="http")
        def test_options(bargein_call):
            assert bargein_call.detector.options.threshold == 0.9
            assert bargein_call.detector.transport == "http"

        def test_the_others(bargein_backend, bargein_server, bargein_tls_server):
            assert bargein_backend.windows == []
            assert bargein_server.url("http").startswith("http://")
            assert bargein_tls_server.url().startswith("wss://")

        def test_failure(bargein_call):
            bargein_call.play("""
                agent speaks 0 - 6 s
                caller speaks 2.1 - 2.5 s, judged 0.2
                expect interruption
            """)
        '''
    )
    result = kit_pytester.runpytest_subprocess("--strict-markers", "-W", "error")

    result.assert_outcomes(passed=3, failed=1)
    # the test's own line, and the transcript: nothing of the kit's insides between them
    result.stdout.fnmatch_lines(
        [
            "*bargein_call.play(*",
            "E * call script: 1 of 1 expectations not met (- expected, + came)",
            "E *-    2.500  expected: interruption",
            "E *+    2.500  BACKCHANNEL, probability 0.20, 400 ms after the onset",
        ]
    )
    result.stdout.no_fnmatch_line("*check.py:*raise*")
    assert "def check(" not in result.stdout.str()


def test_a_project_that_uses_none_of_it_isnt_disturbed(
    kit_pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Of the plugins that are installed ours alone: others may load what they like.
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTEST_PLUGINS", "bargein.testing.plugin")
    kit_pytester.makepyfile(
        """
        import sys

        def test_nothing_was_loaded():
            loaded = {name for name in sys.modules if name.startswith("bargein.")}
            assert loaded <= {"bargein._version", "bargein.testing", "bargein.testing.plugin"}
            assert not {"numpy", "requests", "websocket", "trustme"} & set(sys.modules)
        """
    )
    kit_pytester.runpytest_subprocess("--strict-markers").assert_outcomes(passed=1)


def test_the_fixtures_and_the_mark_are_documented(kit_pytester: pytest.Pytester) -> None:
    fixtures = kit_pytester.runpytest_subprocess("--fixtures").stdout.str()
    for name in ("call", "clock", "backend", "server", "tls_server"):
        assert f"bargein_{name}" in fixtures
    assert "no docstring" not in fixtures.partition("bargein")[2].partition("----")[0]
    marks = kit_pytester.runpytest_subprocess("--markers").stdout.str()
    assert "@pytest.mark.bargein(**options)" in marks


def test_importing_bargein_loads_nothing_of_the_kit() -> None:
    done = run_fresh(
        "-c",
        "import bargein, json, sys\n"
        "[getattr(bargein, name) for name in bargein.__all__]\n"
        "kit = ('bargein.testing', 'pytest')\n"
        "print(json.dumps([name for name in sys.modules if name.startswith(kit)]))",
    )
    assert (done.returncode, json.loads(done.stdout)) == (0, []), done.stderr


def test_the_kit_needs_no_pytest() -> None:
    done = run_fresh(
        "-c",
        "import sys; sys.modules['pytest'] = sys.modules['trustme'] = None\n"
        "from bargein.testing import CallScript, ScriptedServer\n"
        "s = CallScript().agent_speaks(0, 3).caller_speaks(1, 1.3).judged(0.9)\n"
        "print(s.expect_interruption().run().verdicts)\n"
        "try: ScriptedServer(tls=True)\n"
        "except ImportError as error: print(error)",
    )
    assert done.stdout.splitlines() == [
        "[('interruption', None)]",
        "a test server that speaks TLS needs an extra: pip install 'bargein[testing]'",
    ], done.stderr


def test_public_names() -> None:
    for name in bargein.testing.__all__:
        assert getattr(bargein.testing, name) is not None
    assert set(bargein.testing.__all__) <= set(dir(bargein.testing))
    assert set(bargein.testing.__all__) == {*bargein.testing._HOMES, "answers"}
    with pytest.raises(AttributeError, match="no attribute 'Cal'"):
        _ = bargein.testing.Cal
