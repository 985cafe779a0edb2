"""Where compiled kernels go if numba can write to none of its folders."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from schemas.errors import SetupError
from sortline.kernel_cache import VARIABLE, settle_kernel_cache


@pytest.fixture(autouse=True)
def _nothing_but_what_is_temporary_can_be_written_to(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # root, as tests run in containers, may write to any folder whatever its mode.
    may = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: "locked" not in str(path) and may(path, mode))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / "locked").mkdir()


def test_a_folder_beside_the_code_that_can_be_written_to_is_left_to_numba(tmp_path: Path) -> None:
    environ: dict[str, str] = {}
    assert settle_kernel_cache(environ, beside_the_code=tmp_path / "not yet there") is None
    assert environ == {}


def test_so_is_the_users_cache(tmp_path: Path) -> None:
    environ = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    assert settle_kernel_cache(environ, beside_the_code=tmp_path / "locked") is None
    assert VARIABLE not in environ


def test_without_any_the_kernels_of_this_process_go_to_a_temporary_folder(tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path / "locked")}
    sentence = settle_kernel_cache(environ, beside_the_code=tmp_path / "locked")
    assert sentence is not None
    assert "at every start" in sentence
    assert Path(environ[VARIABLE]).parent == tmp_path


def test_kernels_that_came_with_a_read_only_image_are_used_from_a_copy(tmp_path: Path) -> None:
    (tmp_path / "locked" / "features").mkdir()
    (tmp_path / "locked" / "features" / "kernel.nbi").write_bytes(b"compiled")
    environ = {VARIABLE: str(tmp_path / "locked")}
    sentence = settle_kernel_cache(environ, beside_the_code=tmp_path / "locked")
    assert sentence is not None
    assert "from a copy" in sentence
    assert (Path(environ[VARIABLE]) / "features" / "kernel.nbi").read_bytes() == b"compiled"


def test_without_room_for_temporary_files_the_setting_to_change_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "nowhere"))
    with pytest.raises(SetupError, match=VARIABLE):
        settle_kernel_cache({"HOME": str(tmp_path / "locked")}, beside_the_code=tmp_path / "locked")
