from __future__ import annotations

import sys
from pathlib import Path

import pytest

from models.bundle_folder import replace_folder


def content(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_what_a_killed_process_left_is_removed_by_the_next_one(tmp_path: Path) -> None:
    left = tmp_path / ".bundle.0123abcd.draft"
    left.mkdir()
    (left / "half").write_bytes(b"ha")
    (tmp_path / ".other.0123abcd.draft").mkdir()
    replace_folder(tmp_path / "bundle", {"a": b"1"}, check=content)

    assert sorted(entry.name for entry in tmp_path.iterdir()) == [".other.0123abcd.draft", "bundle"]


def test_a_draft_that_is_being_written_is_left_alone(tmp_path: Path) -> None:
    target = tmp_path / "bundle"

    def another_is_faster(_: Path) -> None:
        replace_folder(target, {"a": b"fast"}, check=content)

    replace_folder(target, {"a": b"slow"}, check=another_is_faster)
    assert content(target) == {"a": b"slow"}
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux exchanges two folders in one step")
def test_there_is_a_folder_at_the_target_at_every_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "bundle"
    replace_folder(target, {"a": b"old"}, check=content)

    def never(*_: object) -> None:
        raise AssertionError("a folder was moved away")

    monkeypatch.setattr(Path, "rename", never)
    replace_folder(target, {"a": b"new", "b": b""}, check=content)
    assert content(target) == {"a": b"new", "b": b""}
    assert list(tmp_path.iterdir()) == [target]
