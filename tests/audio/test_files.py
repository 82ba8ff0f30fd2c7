"""Recordings: whole in blocks, and one line about each thing that can be wrong with a file."""

from __future__ import annotations

import builtins
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from bargein.audio import decode_alaw, decode_mulaw, encode_alaw, encode_mulaw, files
from bargein.audio.files import open_recording, write_wav
from bargein.errors import (
    AudioFileError,
    FrameError,
    MissingExtraError,
    OptionError,
    StateError,
    UsageError,
)
from tests.fresh import run_fresh

Int16 = npt.NDArray[np.int16]

RATE = 8_000


def call(seconds: float = 2.3, channels: int = 2) -> Int16:
    size = round(seconds * RATE)
    rng = np.random.default_rng(3)
    return np.clip(rng.normal(0, 3_000, (size, channels)), -32_768, 32_767).astype(np.int16)


def read(path: Path, seconds: float = 1.0) -> Int16:
    with open_recording(path) as recording:
        return np.concatenate(list(recording.blocks(seconds)))


def cut(path: Path, share: float = 0.5) -> Path:
    data = path.read_bytes()
    shorter = path.with_name(f"cut{path.suffix}")
    shorter.write_bytes(data[: int(len(data) * share)])
    return shorter


# --- What is read --------------------------------------------------------------------------------


def test_a_wav_comes_in_blocks(tmp_path: Path) -> None:
    samples = call()
    write_wav(tmp_path / "call.wav", samples, RATE)
    with open_recording(tmp_path / "call.wav") as recording:
        assert recording.path == str(tmp_path / "call.wav")
        assert (recording.sample_rate, recording.num_channels) == (RATE, 2)
        assert recording.frames == len(samples)
        assert recording.duration == pytest.approx(2.3)
        blocks = list(recording.blocks())
    assert [block.shape for block in blocks] == [(8_000, 2), (8_000, 2), (2_400, 2)]
    assert all(block.dtype == np.int16 for block in blocks)
    np.testing.assert_array_equal(np.concatenate(blocks), samples)


@pytest.mark.parametrize("seconds", [1e-9, 0.02, 0.37, 100.0])
def test_blocks_of_any_length_hold_the_same(tmp_path: Path, seconds: float) -> None:
    samples = call(0.05, 1)
    write_wav(tmp_path / "call.wav", samples[:, 0], RATE)
    np.testing.assert_array_equal(read(tmp_path / "call.wav", seconds), samples)


@pytest.mark.parametrize(
    ("suffix", "subtype"),
    [
        ("wav", "PCM_16"),
        ("flac", "PCM_16"),
        ("aiff", "PCM_16"),
        ("au", "PCM_16"),
        ("w64", "PCM_16"),
    ],
)
def test_lossless_formats_give_the_samples(tmp_path: Path, suffix: str, subtype: str) -> None:
    path = tmp_path / f"call.{suffix}"
    soundfile.write(path, call(), RATE, subtype=subtype)
    np.testing.assert_array_equal(read(path, 0.3), call())


@pytest.mark.parametrize(
    ("subtype", "encode", "decode"),
    [("ULAW", encode_mulaw, decode_mulaw), ("ALAW", encode_alaw, decode_alaw)],
)
def test_g711_in_wav_comes_decoded(tmp_path: Path, subtype: str, encode: Any, decode: Any) -> None:
    samples = decode(encode(call(1.2)))
    soundfile.write(tmp_path / "call.wav", samples.reshape(-1, 2), RATE, subtype=subtype)
    np.testing.assert_array_equal(read(tmp_path / "call.wav").reshape(-1), samples)


def test_24_bits_lose_their_lowest_8(tmp_path: Path) -> None:
    wide = (call(0.1).astype(np.int32) << 16) + 0xFF00
    soundfile.write(tmp_path / "call.flac", wide, RATE, subtype="PCM_24")
    np.testing.assert_array_equal(read(tmp_path / "call.flac"), call(0.1))


@pytest.mark.parametrize("subtype", ["FLOAT", "DOUBLE"])
def test_floats_are_scaled_and_clipped(tmp_path: Path, subtype: str) -> None:
    values = np.array([0, 0.5, -0.5, 1.0, -1.0, 7.0, -7.0, np.nan, np.inf, -np.inf, 1.5 / 32_768])
    soundfile.write(tmp_path / "call.wav", values, RATE, subtype=subtype)
    expected = [0, 16_384, -16_384, 32_767, -32_768, 32_767, -32_768, 0, 32_767, -32_768, 2]
    assert read(tmp_path / "call.wav").ravel().tolist() == expected


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_ogg_is_read_and_clipped_not_wrapped(tmp_path: Path, subtype: str) -> None:
    wave = np.sin(2 * np.pi * 300 * np.arange(3 * RATE) / RATE)
    loud = np.clip(wave * 60_000, -32_768, 32_767).astype(np.int16)
    path = tmp_path / "call.ogg"
    soundfile.write(path, loud, RATE, format="OGG", subtype=subtype)
    got = read(path)
    assert got.shape == (len(loud), 1)
    np.testing.assert_array_equal(read(path, 0.25), got)
    # A wrapped overshoot would be a jump of 65,536.
    assert np.abs(np.diff(got[:, 0].astype(int))).max() < 20_000


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg"])
def test_a_recording_can_be_read_again_and_by_two_readers(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"call.{suffix}"
    soundfile.write(path, call(), RATE)
    with open_recording(path) as recording:
        expected = np.concatenate(list(recording.blocks(0.5)))
        pairs = list(zip(recording.blocks(0.5), recording.blocks(0.5), strict=True))
        next(recording.blocks(0.1))
        again = np.concatenate(list(recording.blocks(0.5)))
    np.testing.assert_array_equal(again, expected)
    for one, other in pairs:
        np.testing.assert_array_equal(one, other)


def test_a_wav_written_to_a_pipe_has_the_length_of_its_file(tmp_path: Path) -> None:
    path = tmp_path / "call.wav"
    write_wav(path, call(), RATE)
    data = bytearray(path.read_bytes())
    for size in (0xFFFF_FFFF, 0x7FFF_F000):
        data[40:44] = size.to_bytes(4, "little")
        path.write_bytes(data)
        np.testing.assert_array_equal(read(path), call())


def test_paths_may_be_text(tmp_path: Path) -> None:
    path = str(tmp_path / "call ü.wav")
    write_wav(path, call(0.1), RATE)
    with open_recording(path) as recording:
        assert recording.path == path
        assert not recording.closed
    assert recording.closed


def test_closing_closes(tmp_path: Path) -> None:
    write_wav(tmp_path / "call.wav", call(), RATE)
    recording = open_recording(tmp_path / "call.wav")
    blocks = recording.blocks()
    next(blocks)
    recording.close()
    recording.close()
    for reader in (blocks, recording.blocks()):
        with pytest.raises(StateError, match="the recording is closed: open it again"):
            next(reader)


# --- What is wrong -------------------------------------------------------------------------------


def refusal(path: Path | str) -> str:
    """The one line that `open_recording`, or else reading, says about a file."""
    with pytest.raises(AudioFileError) as info:
        read(Path(path))
    message = str(info.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    assert isinstance(info.value, UsageError)
    assert isinstance(info.value, ValueError)
    return message


def test_no_such_file(tmp_path: Path) -> None:
    assert refusal(tmp_path / "none.wav").endswith(": no such file")
    assert refusal(tmp_path / "none" / "none.wav").endswith(": no such file")


def test_a_directory(tmp_path: Path) -> None:
    assert refusal(tmp_path).endswith(": is a directory, expected an audio file")


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "call.wav")
    assert "not a regular file" in refusal(tmp_path / "call.wav")


def test_a_file_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "call.wav"
    write_wav(path, call(), RATE)

    def denied(name: str, *rest: Any) -> None:
        raise PermissionError(13, "Permission denied", name)

    monkeypatch.setattr(files, "open", denied, raising=False)
    assert refusal(path).endswith(": can't be read: Permission denied")


def test_a_path_through_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    assert refusal(tmp_path / "file" / "call.wav").endswith("can't be read: Not a directory")


def test_empty_files(tmp_path: Path) -> None:
    (tmp_path / "zero.wav").write_bytes(b"")
    assert "empty (0 bytes)" in refusal(tmp_path / "zero.wav")
    write_wav(tmp_path / "none.wav", np.empty((0, 2), np.int16), RATE)
    assert refusal(tmp_path / "none.wav").endswith("empty: it has a header, but no samples")


@pytest.mark.parametrize(
    "data",
    [b"hello\n", b"RIFF\0\0\0\0WAVE", b"fLaC", b"OggS" + bytes(60), bytes(5_000), b"\x7fELF" * 99],
)
def test_what_is_not_audio(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "call.wav"
    path.write_bytes(data)
    assert "not an audio file, or damaged at its start" in refusal(path)


def test_raw_samples(tmp_path: Path) -> None:
    path = tmp_path / "call.raw"
    path.write_bytes(bytes(1_000))
    assert "raw samples have no header" in refusal(path)


def test_mp3(tmp_path: Path) -> None:
    path = tmp_path / "call.mp3"
    soundfile.write(path, call(), 16_000, format="MP3")
    assert "MP3 isn't read: convert it" in refusal(path)


@pytest.mark.parametrize("rate", [4_000, 384_000])
def test_rates_outside_the_range(tmp_path: Path, rate: int) -> None:
    write_wav(tmp_path / "call.wav", call(0.1), rate)
    message = refusal(tmp_path / "call.wav")
    assert f"sample rate of {rate} Hz, expected 8000 to 192000" in message


@pytest.mark.parametrize(
    ("suffix", "form", "subtype"),
    [
        ("wav", "WAV", "PCM_16"),
        ("wav", "WAV", "ULAW"),
        ("wav", "WAVEX", "PCM_16"),
        ("wav", "RF64", "PCM_16"),
        ("w64", "W64", "PCM_16"),
        ("aiff", "AIFF", "PCM_16"),
        ("au", "AU", "PCM_16"),
    ],
)
@pytest.mark.parametrize("share", [0.3, 0.97])
def test_a_truncated_file_with_a_plain_header(
    tmp_path: Path, suffix: str, form: str, subtype: str, share: float
) -> None:
    path = tmp_path / f"call.{suffix}"
    soundfile.write(path, call(), RATE, format=form, subtype=subtype)
    assert "truncated: its header promises" in refusal(cut(path, share))


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_truncated_flac(tmp_path: Path, share: float) -> None:
    path = tmp_path / "call.flac"
    soundfile.write(path, call(), RATE)
    message = refusal(cut(path, share))
    assert "truncated or damaged: its header promises 2.30 s, but the end" in message


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.999])
def test_a_truncated_ogg(tmp_path: Path, subtype: str, share: float) -> None:
    path = tmp_path / "call.ogg"
    samples = call(5.0)
    with soundfile.SoundFile(path, "w", RATE, 2, format="OGG", subtype=subtype) as file:
        for at in range(0, len(samples), RATE):
            file.write(samples[at : at + RATE])
    message = refusal(cut(path, share))
    assert "truncated: it ends in the middle of an Ogg page" in message or "damaged" in message


def test_an_ogg_that_ends_in_a_pages_header(tmp_path: Path) -> None:
    path = tmp_path / "call.ogg"
    soundfile.write(path, call(12.0), RATE)
    data = path.read_bytes()
    path.write_bytes(data[: data.rfind(b"OggS") + 20])
    assert "middle of an Ogg page" in refusal(path)


def test_a_flac_damaged_in_the_middle(tmp_path: Path) -> None:
    path = tmp_path / "call.flac"
    soundfile.write(path, call(20.0), RATE)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 60_000] = bytes(60_000)
    path.write_bytes(data)
    with open_recording(path) as recording, pytest.raises(AudioFileError) as info:
        for _ in recording.blocks():
            pass
    assert "truncated or damaged: its header promises 20.00 s, but nothing can be" in str(
        info.value
    )


def test_a_flac_of_unknown_length(tmp_path: Path) -> None:
    path = tmp_path / "call.flac"
    soundfile.write(path, call(), RATE)
    data = bytearray(path.read_bytes())
    data[21] &= 0xF0  # the 36 bits of STREAMINFO's total of samples
    data[22:26] = bytes(4)
    path.write_bytes(data)
    assert "header doesn't tell its length" in refusal(path)


class Short:
    """A soundfile whose header tells of more than it reads."""

    format, subtype, samplerate, channels, frames = "WAV", "PCM_16", RATE, 1, 2_000
    extra_info = ""
    closed = False

    def __init__(self, name: str) -> None:
        self.left = 1_000

    def __enter__(self) -> Short:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def read(self, size: int, dtype: str, always_2d: bool) -> Int16:
        size = min(size, self.left)
        self.left -= size
        return np.zeros((size, 1), np.int16)

    def close(self) -> None:
        self.closed = True


def test_a_file_that_ends_early_without_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "call.wav"
    write_wav(path, call(), RATE)
    monkeypatch.setattr(soundfile, "SoundFile", Short)
    assert "promises 0.25 s, but nothing can be read past 0.12 s" in refusal(path)


@pytest.mark.parametrize("seconds", [0, -1.0, float("nan")])
def test_blocks_of_nothing_are_refused(tmp_path: Path, seconds: float) -> None:
    write_wav(tmp_path / "call.wav", call(0.1), RATE)
    with (
        open_recording(tmp_path / "call.wav") as recording,
        pytest.raises(OptionError, match="seconds must be more than 0, got"),
    ):
        recording.blocks(seconds)


# --- The extra -----------------------------------------------------------------------------------


@pytest.mark.parametrize("failure", [ImportError("no"), OSError("libsndfile not found")])
def test_without_soundfile_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    real = builtins.__import__

    def importing(name: str, *rest: Any, **more: Any) -> Any:
        if name == "soundfile":
            raise failure
        return real(name, *rest, **more)

    monkeypatch.delitem(sys.modules, "soundfile")
    monkeypatch.setattr(builtins, "__import__", importing)
    with pytest.raises(MissingExtraError, match=r"reading WAV, FLAC and Ogg needs an extra: pip"):
        open_recording(tmp_path / "call.wav")


def test_the_package_does_not_load_soundfile() -> None:
    code = "import sys, bargein.audio as a; a.Converter(8000); print('soundfile' in sys.modules)"
    done = run_fresh("-c", code)
    assert (done.returncode, done.stdout.strip()) == (0, "False"), done.stderr


# --- write_wav -----------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 2, 5])
def test_write_wav_writes_16_bit_pcm(tmp_path: Path, channels: int) -> None:
    path = tmp_path / "call.wav"
    samples = call(0.2, channels)
    write_wav(path, samples, 44_100)
    info = soundfile.info(path)
    assert (info.samplerate, info.channels, info.subtype) == (44_100, channels, "PCM_16")
    np.testing.assert_array_equal(read(path), samples)
    write_wav(path, samples[::-1], 44_100)
    np.testing.assert_array_equal(read(path), samples[::-1])


@pytest.mark.parametrize(
    "samples", [np.zeros(80), np.zeros((2, 2, 2), np.int16), np.zeros((), np.int16)]
)
def test_write_wav_refuses_what_is_not_int16(tmp_path: Path, samples: Any) -> None:
    with pytest.raises(FrameError, match=r"expected int16 of shape \(n,\) or"):
        write_wav(tmp_path / "call.wav", samples, RATE)
    assert not (tmp_path / "call.wav").exists()
