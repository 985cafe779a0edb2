"""`sortline serve`: what keeps it from starting is one sentence."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from sortline.main import main


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "error: option --model: give the folder of a model bundle"),
        (["--model", "nowhere", "--port", "0"], "error: Bundle nowhere"),
        (["--model", "x", "--port", "70000"], "error: option --port: Input should be less than or equal to 65535"),
        (["--model", "x", "--max-batch", "0"], "error: option --max-batch: Input should be greater than"),
    ],
)
def test_what_is_to_be_set_up_is_one_sentence(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve", *arguments]) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith(sentence)


def test_a_port_that_is_taken_is_told_before_the_model_is_loaded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert main(["serve", "--model", str(tmp_path), "--port", port]) == 2
    assert f"error: port {port} on 127.0.0.1 cannot be opened" in capsys.readouterr().err


def test_the_help_shows_how_to_ask(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--help"]) == 0
    told = capsys.readouterr().out
    assert "sortline serve --model bundles/first" in told
    assert "curl -s localhost:8080/predict" in told
