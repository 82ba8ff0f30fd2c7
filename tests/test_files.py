"""Files that people asked for, on disks that are full."""

from __future__ import annotations

import errno
import io
from pathlib import Path
from typing import Any

import pytest

from bargein.files import write_file


class _Full(io.BytesIO):
    def write(self, data: Any) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_leaves_no_piece_and_the_error_names_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "report.html"

    def opened(name: Path, mode: str) -> _Full:
        name.touch()
        return _Full()

    with monkeypatch.context() as patch:
        patch.setattr("builtins.open", opened)
        with pytest.raises(OSError, match="No space") as caught:
            write_file(path, b"x")

    assert caught.value.filename == str(path)
    assert not path.exists()


def test_what_can_not_be_opened_is_left_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError) as caught:
        write_file(tmp_path, b"x")
    assert caught.value.filename == str(tmp_path)
    assert tmp_path.is_dir()

    write_file(tmp_path / "o.json", b"{}")
    assert (tmp_path / "o.json").read_bytes() == b"{}"
