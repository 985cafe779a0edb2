from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from schemas.errors import DependencyUnavailableError
from sortline import main as cli
from sortline.main import Invocation, app, main
from sortline.sample import write_products
from sortline.sample_products import generate_products

COMMANDS = [
    ["sample"],
    ["produce"],
    ["train"],
    ["retrain"],
    ["evaluate"],
    ["classify"],
    ["warm-up"],
    ["worker"],
    ["tail"],
    ["demo"],
    ["stack", "up"],
    ["stack", "down"],
    ["stack", "status"],
    ["topics", "apply"],
    ["labels", "audit"],
    ["models", "list"],
    ["models", "show"],
    ["models", "diff"],
    ["models", "promote"],
    ["models", "rollback"],
    ["pipeline", "run"],
    ["pipeline", "deploy"],
    ["pipeline", "serve"],
    ["explain-event"],
    ["replay"],
    ["dead-letters", "list"],
    ["dead-letters", "show"],
    ["dead-letters", "replay"],
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_explains_itself(command: list[str]) -> None:
    result = CliRunner().invoke(app, [*command, "--help"], obj=Invocation())
    assert result.exit_code == 0
    assert "Usage: " in result.output
    assert "\\n" not in result.output


def test_help_lists_every_command() -> None:
    result = CliRunner().invoke(app, ["--help"])
    assert result.exit_code == 0
    for command in COMMANDS:
        assert command[0] in result.output


def test_help_imports_nothing_heavy() -> None:
    heavy = ("pyarrow", "numpy", "confluent_kafka", "pydantic_settings", "faust", "lightgbm", "mlflow", "training")
    program = (
        "import sys; from sortline.main import main\n"
        "code = main(['--help'])\n"
        f"sys.exit(code or ', '.join(name for name in {heavy!r} if name in sys.modules) or None)"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_an_unknown_option_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tail", "--tpoic", "review"]) == 2
    assert "--tpoic" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["train", "--to", "bundle"], "error: give exactly one of --from FILE and --from-topic\n"),
        (
            ["train", "--to", "bundle", "--from", "x.csv", "--from-topic"],
            "error: give exactly one of --from FILE and --from-topic\n",
        ),
        (
            ["worker"],
            "error: option --model: give the folder of a model bundle (`sortline train` writes one)\n",
        ),
        (
            ["worker", "--model", "m", "--dead-letter-dialect", "klingon"],
            "error: option --dead-letter-dialect: Input should be 'connect', 'streams' or 'spring', "
            "got 'klingon'\n",
        ),
        (
            ["dead-letters", "show", "12"],
            "error: '12' is not PARTITION:OFFSET, such as 0:120\n",
        ),
        (
            ["dead-letters", "replay", "--since", "yesterday"],
            "error: option --since: 'yesterday' is neither a time, such as 2026-01-31T08:00 (UTC), "
            "nor an age, such as 90m\n",
        ),
        (
            ["explain-event", "--topic", "created", "--partition", "0", "--offset", "1"],
            "error: option --topic: decisions are in products.categorized and products.review, not in created\n",
        ),
        (
            ["replay", "--model", "m", "--from-offsets", "0:5-2"],
            "error: option --from-offsets: '0:5-2' ends before it begins\n",
        ),
        (
            ["replay", "--model", "m", "--to", "products.categorized"],
            "error: option --to: products.categorized is the live topic, and its subscribers would act on these "
            "decisions: give another topic, or --allow-live if that is what you want\n",
        ),
        (["sample", "--to", "x.xlsx"], "error: option --to: x.xlsx must end in .parquet, .csv or .jsonl\n"),
        (
            ["classify", "--model", "m", "--from", "x.csv", "--to", "x.csv"],
            "error: option --to: x.csv must end in .parquet\n",
        ),
        (
            ["evaluate", "--model", "m", "--from", "x.csv", "--compare", "n"],
            "error: option --compare: the comparison stands in the report, so give --report FILE, too\n",
        ),
    ],
)
def test_a_wrong_call_is_one_sentence_and_exit_code_2(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert capsys.readouterr().err == sentence


def test_an_unknown_topic_is_answered_with_those_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tail", "--topic", "categorised"]) == 2
    error = capsys.readouterr().err
    assert "there is no categorised" in error
    assert "categorized (products.categorized)" in error


def test_a_setting_out_of_bounds_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SORTLINE_COMMIT_INTERVAL_SECONDS", "0")
    assert main(["worker", "--model", "bundle"]) == 2
    assert capsys.readouterr().err.startswith("error: variable SORTLINE_COMMIT_INTERVAL_SECONDS: ")


def test_a_folder_without_a_model_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    products = tmp_path / "products.csv"
    write_products(generate_products(rows=3, seed=1), to=products)
    assert main(["evaluate", "--model", str(tmp_path), "--from", str(products)]) == 2
    (sentence,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert str(tmp_path) in sentence


@pytest.mark.parametrize(
    ("row", "parts"),
    [
        ("p-2,Lamp,abc,EUR,Home > Light", ["column price", "abc"]),
        ("p-2,,9.99,EUR,Home > Light", ["title"]),
        ("p-2,Lamp,-1,EUR,Home > Light", ["price"]),
    ],
)
def test_a_wrong_file_is_one_sentence_with_column_and_row(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], row: str, parts: list[str]
) -> None:
    file = tmp_path / "products.csv"
    file.write_text(f"product_id,title,price,currency,category\np-1,Desk,1.00,EUR,Home > Desks\n{row}\n")
    assert main(["produce", str(file), "--catalog"]) == 2
    (sentence,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    for part in ["products.csv row 2", *parts]:
        assert part in sentence


def test_a_missing_file_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["produce", str(tmp_path / "none.parquet")]) == 2
    assert "none.parquet" in capsys.readouterr().err


def _failing(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Replace the app by one whose only command raises."""
    broken = typer.Typer(pretty_exceptions_enable=False)

    @broken.command("fail")
    def fail() -> None:
        raise error

    broken.callback()(cli._global_options)
    monkeypatch.setattr(cli, "app", broken)


def test_an_error_of_ours_has_its_own_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _failing(monkeypatch, DependencyUnavailableError("Kafka at nowhere:1 does not answer"))
    assert main(["fail"]) == 1
    assert capsys.readouterr().err == "error: Kafka at nowhere:1 does not answer\n"


def test_an_error_nobody_foresaw_names_its_type_and_how_to_see_more(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _failing(monkeypatch, ZeroDivisionError("division\nby zero"))
    assert main(["fail"]) == 1
    assert capsys.readouterr().err == (
        "error: unexpected ZeroDivisionError: division by zero (sortline --debug ... shows where it came from)\n"
    )


def test_debug_keeps_the_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    _failing(monkeypatch, ZeroDivisionError("division by zero"))
    with pytest.raises(ZeroDivisionError):
        main(["--debug", "fail"])


def test_debug_can_be_set_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    _failing(monkeypatch, ZeroDivisionError("division by zero"))
    monkeypatch.setenv("SORTLINE_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        main(["fail"])


def test_an_interruption_ends_with_130_and_no_words(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _failing(monkeypatch, KeyboardInterrupt())
    assert main(["fail"]) == 130
    assert capsys.readouterr().err == ""


def test_a_reader_that_went_away_is_no_error() -> None:
    program = "from sortline.main import main; raise SystemExit(main(['--help']))"
    process = subprocess.Popen(
        [sys.executable, "-c", f"import sys; sys.stdin.read(); {program}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    process.stdout.close()
    process.stdout = None
    _, error = process.communicate(b"", timeout=60)
    assert error == b""
