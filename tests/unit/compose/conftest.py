from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

#: Writes an executable shell script of this name and body into a folder that is all of the PATH.
AddCommand = Callable[[str, str], Path]


@pytest.fixture
def add_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AddCommand:
    """A PATH of fakes: a command that the test did not add is not there."""
    folder = tmp_path / "path"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.delenv("JAVA_HOME", raising=False)

    def add(name: str, body: str) -> Path:
        command = folder / name
        command.write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
        command.chmod(0o755)
        return command

    return add
