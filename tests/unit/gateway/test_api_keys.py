from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway.api_keys import LOOK_SECONDS, ApiKeys, new_key, read_key_file
from gateway.key_files import create_key, revoke_key
from schemas.errors import SetupError

NOW = datetime(2026, 1, 2, tzinfo=UTC)


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


def test_a_key_is_found_and_told_by_the_name_that_it_was_made_for(file: Path) -> None:
    key, _ = create_key(file, "shop", now=NOW, rate=20.0)
    found = ApiKeys(file).find(key)
    assert found is not None
    assert (found.name, found.created, found.rate) == ("shop", NOW, 20.0)


def test_no_other_text_is_a_key(file: Path) -> None:
    key, entry = create_key(file, "shop", now=NOW)
    stranger, _ = new_key("stranger", now=NOW)
    keys = ApiKeys(file)
    forged = f"sl_{entry.id}_{stranger[-43:]}"  # the id of the one with the secret of the other
    for presented in ("", "sl_", key[:-1], key + "x", key.upper(), forged, stranger, entry.sha256, "é" * 59):
        assert keys.find(presented) is None


def test_the_file_holds_no_key_and_is_its_owner_s_alone(file: Path) -> None:
    key, _ = create_key(file, "shop", now=NOW)
    assert key not in file.read_text()
    assert key[-43:] not in file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_file_that_everybody_may_read_is_refused(file: Path) -> None:
    create_key(file, "shop", now=NOW)
    file.chmod(0o644)
    with pytest.raises(SetupError, match="chmod 600"):
        read_key_file(file)


@pytest.mark.parametrize("content", ["", "[]", '{"keys": [{"id": "0"}]}', '{"keys": [], "more": 1}'])
def test_a_file_that_holds_something_else_is_refused_without_showing_it(file: Path, content: str) -> None:
    file.write_text(content)
    file.chmod(0o600)
    with pytest.raises(SetupError, match=r"is no file of API keys"):
        read_key_file(file)


def test_a_missing_file_is_refused_with_what_makes_one(file: Path) -> None:
    with pytest.raises(SetupError, match="sortline keys create"):
        ApiKeys(file)


def test_new_and_revoked_keys_are_noticed_while_the_server_runs(file: Path) -> None:
    clock = Clock()
    first, entry = create_key(file, "first", now=NOW)
    keys = ApiKeys(file, clock=clock)
    second, _ = create_key(file, "second", now=NOW)
    revoke_key(file, entry.id)
    clock.now += LOOK_SECONDS
    assert keys.find(second) is not None
    assert keys.find(first) is None


@pytest.mark.parametrize("slip", ["broken", "gone", "open"])
def test_a_slip_with_the_file_leaves_the_keys_as_they_were_and_is_an_error_in_the_log(
    file: Path, slip: str, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    key, _ = create_key(file, "shop", now=NOW)
    keys = ApiKeys(file, clock=clock)
    if slip == "broken":
        file.write_text("{")
    elif slip == "gone":
        file.unlink()
    else:
        file.chmod(0o604)
    clock.now += LOOK_SECONDS
    assert keys.find(key) is not None
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert key not in caplog.text
    assert key[-43:] not in caplog.text


def test_an_unknown_id_cannot_be_revoked(file: Path) -> None:
    create_key(file, "shop", now=NOW)
    with pytest.raises(SetupError, match="no key with the id 0000"):
        revoke_key(file, "000000000000")


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="cannot be written"):
        create_key(tmp_path / "none" / "keys.json", "shop", now=NOW)
