from __future__ import annotations

from pathlib import Path

import pytest

from gateway.api_keys import ApiKeys
from sortline.main import main


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


def _create(file: Path, name: str, capsys: pytest.CaptureFixture[str], *options: str) -> str:
    assert main(["keys", "create", name, "--file", str(file), *options]) == 0
    return capsys.readouterr().out.strip()


def test_a_key_is_printed_alone_and_is_good(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key = _create(file, "shop", capsys, "--rate", "20")
    found = ApiKeys(file).find(key)
    assert found is not None
    assert (found.name, found.rate) == ("shop", 20.0)


def test_the_list_names_keys_and_shows_none(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keys = [_create(file, name, capsys) for name in ("shop", "importer")]
    assert main(["keys", "list", "--file", str(file)]) == 0
    listed = capsys.readouterr().out
    for key, name in zip(keys, ("shop", "importer"), strict=True):
        assert name in listed
        assert key.split("_")[1] in listed
        assert key[-43:] not in listed


def test_a_revoked_key_is_good_no_more(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key, other = _create(file, "shop", capsys), _create(file, "importer", capsys)
    assert main(["keys", "revoke", key.split("_")[1], "--file", str(file)]) == 0
    keys = ApiKeys(file)
    assert keys.find(key) is None
    assert keys.find(other) is not None


def test_the_file_may_be_named_by_the_environment(
    file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["keys", "list"]) == 2
    assert "SORTLINE_API_KEYS" in capsys.readouterr().err
    _create(file, "shop", capsys)
    monkeypatch.setenv("SORTLINE_API_KEYS", str(file))
    assert main(["keys", "list"]) == 0
    assert "shop" in capsys.readouterr().out
