"""One line an event."""

from __future__ import annotations

import json
import logging

import mode
import pytest

from schemas.errors import SetupError
from streams.logs import EchoFilter, JsonFormatter, RepeatFilter, TextFormatter


def record(event: str, error: BaseException | None = None, **fields: object) -> logging.LogRecord:
    made = logging.LogRecord("streams.pipeline", logging.WARNING, "file.py", 1, event, (), None)
    if error is not None:
        made.exc_info = (type(error), error, error.__traceback__)
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def test_a_json_line_has_the_event_and_its_fields() -> None:
    line = JsonFormatter().format(record("records dead-lettered", n_records=3, reason='title is "blank"'))
    fields = json.loads(line)
    assert fields.pop("time").endswith("+00:00")
    assert fields == {
        "level": "warning",
        "event": "records dead-lettered",
        "logger": "streams.pipeline",
        "n_records": 3,
        "reason": 'title is "blank"',
    }


def test_a_text_line_begins_with_the_event_and_quotes_what_needs_it() -> None:
    line = TextFormatter().format(record("retry", reason="no answer", wait=0.5, empty=""))
    assert line.partition(" ")[2] == (
        'warning retry  logger=streams.pipeline reason="no answer" wait=0.5 empty=""'
    )


@pytest.mark.parametrize("formatter", [JsonFormatter(), TextFormatter()])
def test_a_field_cannot_begin_a_new_line(formatter: logging.Formatter) -> None:
    assert "\n" not in formatter.format(record("retry", reason="first\nsecond"))


def test_an_error_of_ours_is_a_sentence_and_not_a_traceback() -> None:
    fields = json.loads(JsonFormatter().format(record("stopped", error=SetupError("topic x does not exist"))))
    assert fields["error"] == "SetupError: topic x does not exist"
    assert "traceback" not in fields


async def test_a_service_that_ends_by_an_error_of_ours_leaves_it_to_the_worker_to_say_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    service = mode.Service()
    await service.crash(SetupError("topic x does not exist"))
    await service.crash(ZeroDivisionError("bug"))
    assert [EchoFilter().filter(one) for one in caplog.records if "Crashed" in one.getMessage()] == [False, True]


def test_an_unexpected_error_comes_with_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        _ = 1 / 0
    line = TextFormatter().format(record("crashed", error=caught.value))
    assert 'error="ZeroDivisionError: division by zero"' in line.splitlines()[0]
    assert "Traceback" in line.splitlines()[1]


def from_library(text: str) -> logging.LogRecord:
    return logging.LogRecord("aiokafka", logging.ERROR, "file.py", 1, "cannot connect to %s", (text,), None)


def test_a_library_that_says_the_same_again_and_again_is_heard_once_in_ten_seconds() -> None:
    now = 100.0
    filtered = RepeatFilter(clock=lambda: now)
    heard: list[logging.LogRecord] = []
    for tenth in range(301):
        now = 100.0 + tenth / 10
        line = from_library(f"broker {tenth}")
        if filtered.filter(line):
            heard.append(line)
    assert [line.getMessage() for line in heard] == [
        "cannot connect to broker 0",
        "cannot connect to broker 100",
        "cannot connect to broker 200",
        "cannot connect to broker 300",
    ]
    assert [getattr(line, "repeated", 0) for line in heard] == [0, 99, 99, 99]


def test_what_a_library_says_for_the_first_time_is_always_heard() -> None:
    filtered = RepeatFilter(clock=lambda: 0.0)
    other = logging.LogRecord("aiokafka", logging.ERROR, "file.py", 1, "another thing", (), None)
    assert filtered.filter(from_library("a"))
    assert filtered.filter(other)
    assert not filtered.filter(from_library("b"))


def test_our_own_lines_are_never_dropped() -> None:
    filtered = RepeatFilter(clock=lambda: 0.0)
    assert all(filtered.filter(record("records dead-lettered")) for _ in range(3))
