"""The learned judge's mechanics, with weights drawn at random; ``test_drift.py`` has real ones."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bargein.backends import Backend, BatchBackend, FunctionBackend, Session, as_backend
from bargein.backends.gru import BEFORE, FEATURES, Network
from bargein.backends.learned import OPERATING_POINTS, LearnedBackend, LearnedSession
from bargein.backends.mel import BANDS, FRAMES, OVERLAP, log_mel
from bargein.core import Prediction, Window, estimate_probability
from bargein.errors import ModelError, OptionError
from bargein.vad.silero import SileroVad
from bargein.vad.track import CHUNK, Speech, SpeechTrack

from .judges import WIDTH, packed, random_arrays
from .sounds import RATE, silence, sound, voice, window
from .test_local import streams

INTERVAL = 0.1


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "judge.npz"
    path.write_bytes(packed(random_arrays()))
    return path


@pytest.fixture(scope="module")
def backend(weights: Path) -> LearnedBackend:
    return LearnedBackend(weights=weights)


def windows_of(
    count: int = 20, track: SpeechTrack | None = None, shift: int | None = 0
) -> list[Window]:
    """The windows of one overlap: the voice speaks from 1.28 s on."""
    ends = [1.4 + INTERVAL * number for number in range(count)]
    return [
        window(voice(), max(0.28, end - 3.0), end, onset=1.28, number=n, track=track, shift=shift)
        for n, end in enumerate(ends)
    ]


def answers(session: Session, windows: list[Window]) -> list[np.ndarray[Any, Any]]:
    return [session.predict(one).probabilities for one in windows]


def test_superseded_windows_change_nothing(backend: LearnedBackend) -> None:
    windows = windows_of()
    every = answers(backend.open_session("every"), windows)
    for step in (2, 3, 7):
        some = backend.open_session("some")
        for number in range(step - 1, len(windows), step):
            found = some.predict(windows[number]).probabilities
            np.testing.assert_array_equal(found, every[number])


def test_the_streams_own_speech_makes_no_difference(backend: LearnedBackend) -> None:
    track = SpeechTrack(seconds=10)
    # The session's own VAD hears the room from 1 s before the onset on.
    first = round(0.28 * RATE) // CHUNK + 1
    track.feed(first * CHUNK, voice()[first * CHUNK :])
    own = answers(backend.open_session(None), windows_of())
    brought = answers(backend.open_session(None), windows_of(track=track))
    for one, other in zip(own, brought, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_track_without_activations_is_not_enough(backend: LearnedBackend) -> None:
    track = SpeechTrack(seconds=10, activations=False)
    track.feed(0, voice())
    own = answers(backend.open_session(None), windows_of(5))
    for one, other in zip(
        own, answers(backend.open_session(None), windows_of(5, track)), strict=True
    ):
        np.testing.assert_array_equal(one, other)


def test_the_grid_decides_not_the_windows_start(backend: LearnedBackend) -> None:
    session, other = backend.open_session(None), backend.open_session(None)
    long = session.predict(window(voice(), 0.2, 2.0, onset=1.28))
    short = other.predict(window(voice(), 0.25, 2.0, onset=1.28))
    assert estimate_probability(long.probabilities, 2) == estimate_probability(
        short.probabilities, 2
    )


def test_frames_up_to_the_notice_are_zero_and_the_last_value_holds(
    backend: LearnedBackend,
) -> None:
    prediction = backend.open_session(None).predict(window(voice(), 0.28, 2.0, onset=1.28))
    found = prediction.probabilities
    assert len(found) == -(-round(1.72 * RATE) // 400)
    assert not found[:39].any()
    assert (found[42:] > 0).all()
    assert found[-1] == found[-2]
    assert prediction.is_interruption is None


def test_an_overlap_starts_anew(backend: LearnedBackend) -> None:
    first = window(voice(), 0.28, 2.0, onset=1.28, overlap=1)
    second = window(voice(), 1.5, 3.0, onset=2.2, overlap=2)
    session = backend.open_session(None)
    session.predict(first)
    alone = backend.open_session(None).predict(second)
    np.testing.assert_array_equal(session.predict(second).probabilities, alone.probabilities)


def test_a_window_past_what_was_judged_starts_anew(backend: LearnedBackend) -> None:
    session = backend.open_session(None)
    session.predict(window(voice(), 0.1, 0.6, onset=0.3))
    late = window(voice(), 1.0, 3.9, onset=0.3)
    alone = backend.open_session(None).predict(late)
    np.testing.assert_array_equal(session.predict(late).probabilities, alone.probabilities)
    assert alone.probabilities.any()


def test_windows_without_positions_are_judged_afresh(backend: LearnedBackend) -> None:
    windows = [window(voice(), 0.0, end, shift=None) for end in (0.6, 0.9, 2.0)]
    session = backend.open_session(None)
    together = answers(session, windows)
    for one, answer in zip(windows, together, strict=True):
        alone = backend.open_session(None).predict(one).probabilities
        np.testing.assert_array_equal(alone, answer)
    assert together[-1].any()
    quiet = session.predict(window(silence(1.0), 0.0, 1.0, shift=None))
    assert not quiet.probabilities.any()
    np.testing.assert_array_equal(answers(session, windows[:1])[0], together[0])


def test_very_short_windows_say_nothing(backend: LearnedBackend) -> None:
    session = backend.open_session(None)
    for onset in (None, 0.01):
        found = session.predict(window(voice(), 0.0, 0.02, onset=onset))
        assert found.probabilities.tolist() == [0.0]


def test_silence_is_never_an_interruption(backend: LearnedBackend) -> None:
    quiet = window(np.zeros(RATE, np.int16), 0.0, 1.0, onset=0.5)
    assert not backend.open_session(None).predict(quiet).probabilities.any()


def test_a_batch_gives_what_one_by_one_gives(backend: LearnedBackend) -> None:
    calls = streams(10)
    together = [backend.open_session(f"{number}") for number in range(len(calls))]
    alone = [backend.open_session(f"{number}") for number in range(len(calls))]
    for turn in range(3):
        batch = [(session, windows[turn]) for session, windows in zip(together, calls, strict=True)]
        found = backend.predict_many(batch)
        for session, windows, answer in zip(alone, calls, found, strict=True):
            np.testing.assert_array_equal(
                session.predict(windows[turn]).probabilities, answer.probabilities
            )
    assert backend.predict_many([]) == []


def test_many_threads_get_what_one_gets(backend: LearnedBackend) -> None:
    calls = streams(8)
    found: dict[int, list[Prediction]] = {}
    start = threading.Barrier(4)

    def judge(number: int) -> None:
        start.wait()
        for call in range(number, len(calls), 4):
            session = backend.open_session(None)
            found[call] = [session.predict(one) for one in calls[call]]

    threads = [threading.Thread(target=judge, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number, windows in enumerate(calls):
        session = backend.open_session(None)
        for one, answer in zip(windows, found[number], strict=True):
            np.testing.assert_array_equal(session.predict(one).probabilities, answer.probabilities)


def test_it_is_a_batch_backend(backend: LearnedBackend) -> None:
    typed: BatchBackend = backend
    session: Session = typed.open_session(None)
    assert isinstance(backend, Backend)
    assert isinstance(backend, BatchBackend)
    assert as_backend(backend) is backend
    assert backend.provider == "bargein"
    assert backend.needs_activations
    session.close()
    session.close()


def test_operating_points_are_thresholds(weights: Path) -> None:
    given = {
        name: LearnedBackend(name, weights=weights).default_threshold  # type: ignore[arg-type]
        for name in OPERATING_POINTS
    }
    assert given == dict(OPERATING_POINTS)
    assert given["eager"] < given["balanced"] == 0.5 < given["cautious"]  # type: ignore[operator]
    with pytest.raises(OptionError, match=r"operating_point='bold'.*'eager'"):
        LearnedBackend("bold", weights=weights)  # type: ignore[arg-type]


def test_it_tells_what_it_took(weights: Path) -> None:
    ticks = iter([10.0, 10.25, 20.0, 19.0])
    session = LearnedBackend(weights=weights, clock=lambda: next(ticks)).open_session(None)
    assert session.predict(window(voice(), 0.0, 0.5)).duration == 0.25
    assert session.predict(window(voice(), 0.0, 0.5)).duration == 0.0  # a clock that was set back


def test_sessions_of_others_are_refused(backend: LearnedBackend) -> None:
    stranger = FunctionBackend(lambda window: [0.5]).open_session(None)
    with pytest.raises(OptionError, match=r"_FunctionSession.*open_session\(\)"):
        backend.predict_many([(stranger, window(voice(), 0.0, 0.5))])
    session = backend.open_session(None)
    pair = (session, window(voice(), 0.0, 0.5))
    with pytest.raises(OptionError, match=r"batch of 2 windows.*twice"):
        backend.predict_many([pair, pair])


# --- the network ------------------------------------------------------------------------------


def reference(arrays: dict[str, Any], features: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The mean score after each chunk, written down in float64 as the textbook has it."""
    scores = []
    for net in range(len(arrays["out"])):
        w = {name: arrays[name][net].astype(np.float64) for name in arrays if arrays[name].ndim > 1}
        hidden = np.zeros(WIDTH)
        found = []
        for x in features.astype(np.float64):
            front = np.maximum(x @ w["front"] + w["front_bias"], 0)
            i = np.split(front @ w["inputs"] + w["inputs_bias"], 3)
            h = np.split(hidden @ w["hidden"] + w["hidden_bias"], 3)
            reset, update = (1 / (1 + np.exp(-i[k] - h[k])) for k in (0, 1))
            new = np.tanh(i[2] + reset * h[2])
            hidden = (1 - update) * new + update * hidden
            found.append(hidden @ w["out"] + float(arrays["out_bias"][net]))
        scores.append(found)
    return np.asarray(np.mean(scores, axis=0))


def test_it_computes_what_a_textbook_gru_does() -> None:
    arrays = random_arrays(3)
    network = Network(arrays, "")
    vad = SileroVad.load()
    chunks = sound("interruption")[: 30 * CHUNK].reshape(-1, CHUNK)
    probabilities, activations = vad.run(chunks, vad.new_state())
    powers = np.square(chunks, dtype=np.float64).sum(axis=1)
    levels = 10 * np.log10(np.maximum(powers / (512 * 32_768.0**2), 1e-9))
    features = np.empty((len(chunks), FEATURES), np.float32)
    features[:, :160] = log_mel(chunks, np.zeros(OVERLAP, np.float32))
    features[:, 160:416] = activations
    features[:, 416] = probabilities
    features[:, 417] = (levels + 40) / 20
    features[:, 418] = np.maximum(levels - np.maximum.accumulate(levels), -40) / 20
    features[:, 419] = np.arange(len(chunks)) / 62
    state = network.new_state()
    found = network.listen([(state, Speech(0, probabilities, activations), chunks)])[0]
    noticed = int(np.argmax(probabilities >= 0.5))
    ages = np.clip(np.arange(len(chunks)) - noticed, 0, 29)
    scores = reference(arrays, features)
    expected = 1 / (1 + np.exp(-0.8 * (scores - arrays["limits"][ages])))
    expected[:noticed] = 0
    np.testing.assert_allclose(found, expected, atol=2e-5)
    assert state.heard == len(chunks)


def test_a_tone_lights_up_its_band() -> None:
    samples = (8_000 * np.sin(2 * np.pi * 1_000 * np.arange(4 * CHUNK) / RATE)).astype(np.int16)
    chunks = samples.reshape(-1, CHUNK)
    found = log_mel(chunks, np.zeros(OVERLAP, np.float32))
    spectra = found.reshape(4, FRAMES, BANDS)[1:]
    # 40 bands evenly spaced in mel from 60 to 7,600 Hz: 1 kHz lies in the 14th.
    assert (spectra.argmax(axis=2) == 13).all()
    # 8,000 of 32,768 is -15 dBFS of power in the tone, its window's share of it in the band.
    assert (np.abs(spectra.max(axis=2) - (-15.2 - 1.8 + 60) / 20) < 0.2).all()
    # Chunk by chunk it is the same to the last bit.
    before = np.zeros(OVERLAP, np.float32)
    for i, chunk in enumerate(chunks):
        np.testing.assert_array_equal(log_mel(chunk[None], before)[0], found[i])
        before = chunk[-OVERLAP:].astype(np.float32)
    assert log_mel(chunks[:0], before).shape == (0, FRAMES * BANDS)


def test_digital_silence_is_the_floor() -> None:
    found = log_mel(np.zeros((1, CHUNK), np.int16), np.zeros(OVERLAP, np.float32))
    np.testing.assert_allclose(found, -1.5, atol=1e-5)


def test_extreme_scores_stay_probabilities() -> None:
    for bias, expected in ((1e9, 1.0), (-1e9, 0.0)):
        arrays = random_arrays() | {"out_bias": np.full(2, bias, np.float32)}
        network = Network(arrays, "")
        speech = Speech(0, np.ones(3, np.float32), np.zeros((3, 256), np.float32))
        chunks = np.zeros((3, CHUNK), np.int16)
        found = network.listen([(network.new_state(), speech, chunks)])[0]
        assert found == [expected] * 3


def test_weights_of_one_network_do(weights: Path, tmp_path: Path) -> None:
    (tmp_path / "one.npz").write_bytes(packed(random_arrays(networks=1)))
    assert LearnedBackend(weights=tmp_path / "one.npz").network.count == 1


def test_missing_weights_show_at_once(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"aren't there.*none\.npz.*training\.export"):
        LearnedBackend(weights=tmp_path / "none.npz")


def _without_slope(arrays: dict[str, Any]) -> bytes:
    return packed({name: array for name, array in arrays.items() if name != "slope"})


@pytest.mark.parametrize(
    "spoil",
    [
        lambda arrays: b"no weights",
        lambda arrays: packed(arrays)[:10_000],
        _without_slope,
        lambda arrays: packed(arrays | {"front": arrays["front"][:, :-1]}),
        lambda arrays: packed(arrays | {"limits": np.array([np.nan], np.float32)}),
        lambda arrays: packed(arrays | {"about": np.array("{")}),
    ],
    ids=["text", "half a file", "a missing array", "a wrong shape", "not finite", "no JSON"],
)
def test_damaged_weights_show_at_once(spoil: Any, tmp_path: Path) -> None:
    path = tmp_path / "spoilt.npz"
    path.write_bytes(spoil(random_arrays()))
    with pytest.raises(ModelError, match=r"can't be read.*spoilt\.npz"):
        LearnedBackend(weights=path)


def test_a_sessions_first_chunks_lie_a_little_before_the_onset(backend: LearnedBackend) -> None:
    session = backend.open_session(None)
    assert isinstance(session, LearnedSession)
    session.predict(window(voice(), 0.28, 2.0, onset=1.28))
    newest = (round(2.0 * RATE) - 66) // CHUNK
    assert len(session.judged) == newest - (round(1.28 * RATE) // CHUNK - BEFORE)
    session.close()
    assert not session.judged
