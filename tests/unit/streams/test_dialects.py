"""The header names and bytes of the three dialects, and that each is read back."""

from __future__ import annotations

import pytest

from streams.dialects import Dialect, Failure, error_headers, read_failure, without_errors
from streams.records import Header

FAILURE = Failure(
    topic="products.created",
    partition=3,
    offset=4_294_967_297,
    reason="title ist zu kurz: é",
    stage="VALIDATION",
    error="KeyError",
    cause="OSError",
    trace="Traceback: x",
    group_id="sorters",
    task_id="0",
    step="streams.slices.SliceProcessor",
    timestamp_ms=1_700_000_000_023,
    timestamp_type=1,
)
#: As Kafka Connect, Kafka Streams and Spring Kafka write it, in their order.
EXPECTED: dict[Dialect, list[Header]] = {
    "connect": [
        ("__connect.errors.topic", b"products.created"),
        ("__connect.errors.partition", b"3"),
        ("__connect.errors.offset", b"4294967297"),
        ("__connect.errors.connector.name", b"sorters"),
        ("__connect.errors.task.id", b"0"),
        ("__connect.errors.stage", b"VALIDATION"),
        ("__connect.errors.class.name", b"streams.slices.SliceProcessor"),
        ("__connect.errors.exception.class.name", b"KeyError"),
        ("__connect.errors.exception.message", "title ist zu kurz: é".encode()),
        ("__connect.errors.exception.stacktrace", b"Traceback: x"),
    ],
    "streams": [
        ("__streams.errors.exception", b"KeyError"),
        ("__streams.errors.message", "title ist zu kurz: é".encode()),
        ("__streams.errors.stacktrace", b"Traceback: x"),
        ("__streams.errors.topic", b"products.created"),
        ("__streams.errors.partition", b"3"),
        ("__streams.errors.offset", b"4294967297"),
    ],
    "spring": [
        ("kafka_dlt-exception-fqcn", b"KeyError"),
        ("kafka_dlt-exception-cause-fqcn", b"OSError"),
        ("kafka_dlt-exception-message", "title ist zu kurz: é".encode()),
        ("kafka_dlt-exception-stacktrace", b"Traceback: x"),
        ("kafka_dlt-original-topic", b"products.created"),
        ("kafka_dlt-original-partition", b"\x00\x00\x00\x03"),
        ("kafka_dlt-original-offset", b"\x00\x00\x00\x01\x00\x00\x00\x01"),
        ("kafka_dlt-original-timestamp", bytes.fromhex("0000018bcfe56817")),
        ("kafka_dlt-original-timestamp-type", b"LogAppendTime"),
        ("kafka_dlt-original-consumer-group", b"sorters"),
    ],
}
DIALECTS = sorted(EXPECTED)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_names_and_bytes_are_those_of_the_original(dialect: Dialect) -> None:
    assert error_headers(dialect, FAILURE) == EXPECTED[dialect]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_what_is_written_is_read_back(dialect: Dialect) -> None:
    found = read_failure([("mine", b"1"), *EXPECTED[dialect]])
    assert found is not None
    assert found[0] == dialect
    read = found[1]
    assert read.place == "products.created/3/4294967297"
    assert (read.reason, read.error, read.trace) == (FAILURE.reason, FAILURE.error, FAILURE.trace)
    assert error_headers(dialect, read) == EXPECTED[dialect]


@pytest.mark.parametrize("first", DIALECTS)
@pytest.mark.parametrize("second", DIALECTS)
def test_the_last_failure_counts_whatever_the_dialects(first: Dialect, second: Dialect) -> None:
    later = Failure(topic="products.created", partition=0, offset=9, reason="again")
    found = read_failure([*error_headers(first, FAILURE), ("mine", b"1"), *error_headers(second, later)])
    assert found is not None
    assert found[0] == second
    assert (found[1].place, found[1].reason) == ("products.created/0/9", "again")


@pytest.mark.parametrize("dialect", DIALECTS)
def test_without_its_error_headers_a_letter_has_those_of_the_original(dialect: Dialect) -> None:
    original: list[Header] = [("a", b"1"), ("b", None), ("a", b"2"), ("__connect.error", b"not ours")]
    assert without_errors([*original, *error_headers(dialect, FAILURE)]) == original


@pytest.mark.parametrize("number", [b"", b"-", b"x", b"1" * 30, None, b"\xff"])
def test_a_number_that_is_none_is_not_known(number: bytes | None) -> None:
    headers: list[Header] = [
        ("kafka_dlt-original-topic", b"products.created"),
        ("kafka_dlt-original-partition", number),
        ("kafka_dlt-original-offset", number),
    ]
    found = read_failure(headers)
    assert found is not None
    assert found[1].place == "products.created/?/?"
    connect = read_failure([("__connect.errors.topic", b"t"), ("__connect.errors.partition", number)])
    assert connect is not None
    assert connect[1].place == "t/?/?"


def test_a_key_that_spring_could_not_read_is_a_failure_too() -> None:
    headers: list[Header] = [
        ("kafka_dlt-key-exception-fqcn", b"DeserializationException"),
        ("kafka_dlt-key-exception-message", b"bad key"),
        ("kafka_dlt-key-exception-stacktrace", b"at ..."),
        ("kafka_dlt-original-topic", b"products.created"),
    ]
    found = read_failure(headers)
    assert found is not None
    assert (found[1].reason, found[1].error, found[1].trace) == ("bad key", "DeserializationException", "at ...")


def test_headers_of_no_dialect_say_nothing() -> None:
    assert read_failure([]) is None
    assert read_failure([("ce_id", b"1"), ("__connect.other", b"2"), ("kafka_topic", b"3")]) is None
