from __future__ import annotations

import pytest
from pydantic import ValidationError

from schemas.errors import SetupError
from sortline.settings import SortlineSettings, masked, read_settings, unknown_variables


@pytest.fixture(autouse=True)
def _without_the_shell_s_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SortlineSettings.model_fields:
        monkeypatch.delenv(f"SORTLINE_{name.upper()}", raising=False)


def test_defaults_run_on_a_laptop() -> None:
    settings = read_settings()
    assert settings.bootstrap.startswith("127.0.0.1:")
    assert settings.topics.created == "products.created"


def test_the_environment_sets_a_field(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SORTLINE_WEB_PORT", "7070")
    assert read_settings().web_port == 7070


def test_an_option_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SORTLINE_BOOTSTRAP", "kafka-1:9092")
    assert read_settings(bootstrap="kafka-2:9092").bootstrap == "kafka-2:9092"


def test_an_option_that_was_not_given_leaves_the_environment_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SORTLINE_BOOTSTRAP", "kafka-1:9092")
    assert read_settings(bootstrap=None).bootstrap == "kafka-1:9092"


def test_the_prefix_is_put_before_every_topic() -> None:
    topics = read_settings(topic_prefix="staging.").topics
    assert topics.created == "staging.products.created"
    assert topics.dead_letters == "staging.products.created.dlq"


def test_settings_cannot_be_changed_after_they_were_read() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        read_settings().bootstrap = "elsewhere:9092"


def test_a_bad_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SORTLINE_WEB_PORT", "high")
    with pytest.raises(SetupError, match=r"variable SORTLINE_WEB_PORT: .*integer.*'high'"):
        read_settings()


def test_a_bad_option_is_named() -> None:
    with pytest.raises(SetupError, match=r"option --registry: .*'ftp://registry'"):
        read_settings(registry_url="ftp://registry")


def test_a_misspelt_variable_is_warned_about_with_the_name_that_was_meant() -> None:
    sentences = unknown_variables({"SORTLINE_BOOTSTRP": "x", "SORTLINE_MODEL": "m", "PATH": "/bin"})
    assert sentences == ["SORTLINE_BOOTSTRP is not a setting and was ignored; did you mean SORTLINE_BOOTSTRAP?"]


def test_a_variable_like_no_setting_is_warned_about_without_a_guess() -> None:
    assert unknown_variables({"SORTLINE_QQQQ": "x"}) == ["SORTLINE_QQQQ is not a setting and was ignored"]


def test_the_printed_settings_hide_the_password_of_an_address() -> None:
    settings = read_settings(
        registry_url="https://reader:hunter2@registry:8081", tracking_uri="postgresql://ml:s3cret@db/ml"
    )
    printed = "\n".join(settings.lines())
    assert "hunter2" not in printed
    assert "s3cret" not in printed
    assert "registry_url = https://reader:***@registry:8081" in printed


def test_every_setting_is_printed() -> None:
    assert [line.split(" = ")[0] for line in read_settings().lines()] == list(SortlineSettings.model_fields)


@pytest.mark.parametrize(
    "address", ["http://registry:8081/apis", "sqlite:///mlflow.db", "kafka-1:9092,kafka-2:9092"]
)
def test_an_address_without_a_password_is_printed_as_it_is(address: str) -> None:
    assert masked(address) == address
