"""What a dead letter keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from streams.dead_letters import STAGE_DECODE, DeadLetterOffice
from streams.dialects import Dialect

if TYPE_CHECKING:
    from tests.unit.streams.conftest import Workbench

OFFICE = DeadLetterOffice(group_id="sorters")


def test_key_value_headers_and_time_of_the_original_are_kept(workbench: Workbench) -> None:
    headers = (("a", b"\xff\x00"), ("b", None), ("a", b"again"))
    record = workbench.record(b"\xfe", b"\x00\x00anything", headers)
    letter = OFFICE.write(record, stage=STAGE_DECODE, reason="broken")
    assert (letter.key, letter.value) == (b"\xfe", b"\x00\x00anything")
    assert tuple(letter.headers[:3]) == headers
    assert letter.timestamp_ms == record.timestamp
    assert record.headers == headers


def test_the_reason_comes_as_kafka_connects_headers(workbench: Workbench) -> None:
    workbench.next_offset = 12
    record = workbench.record(b"a", b"x", partition=3)
    letter = OFFICE.write(record, stage=STAGE_DECODE, reason="title ist zu kurz: é")
    assert dict(letter.headers) == {
        "__connect.errors.topic": b"products.created",
        "__connect.errors.partition": b"3",
        "__connect.errors.offset": b"12",
        "__connect.errors.connector.name": b"sorters",
        "__connect.errors.task.id": b"0",
        "__connect.errors.class.name": b"streams.slices.SliceProcessor",
        "__connect.errors.stage": b"VALUE_CONVERTER",
        "__connect.errors.exception.class.name": b"InvalidRecordError",
        "__connect.errors.exception.message": "title ist zu kurz: é".encode(),
    }


def test_a_dead_letter_that_fails_again_keeps_its_history_and_the_last_header_is_the_latest(
    workbench: Workbench,
) -> None:
    first = OFFICE.write(workbench.record(b"a", b"x"), stage=STAGE_DECODE, reason="first")
    again = OFFICE.write(workbench.record(b"a", b"x", first.headers), stage=STAGE_DECODE, reason="second")
    reasons = [value for name, value in again.headers if name == "__connect.errors.exception.message"]
    assert reasons == [b"first", b"second"]
    assert dict(again.headers)["__connect.errors.exception.message"] == b"second"


def test_a_stack_trace_is_there_only_if_an_exception_was(workbench: Workbench) -> None:
    record = workbench.record(b"a", b"x")
    with pytest.raises(KeyError) as caught:
        _ = dict(record.headers)["nowhere"]
    raised = OFFICE.write(record, stage=STAGE_DECODE, reason="internal", error=caught.value)
    plain = OFFICE.write(record, stage=STAGE_DECODE, reason="plain")
    assert b"KeyError" in (dict(raised.headers)["__connect.errors.exception.stacktrace"] or b"")
    assert "__connect.errors.exception.stacktrace" not in dict(plain.headers)


def test_a_reason_without_end_is_cut_between_characters(workbench: Workbench) -> None:
    letter = OFFICE.write(workbench.record(b"a", b"x"), stage=STAGE_DECODE, reason="é" * 100_000)
    message = dict(letter.headers)["__connect.errors.exception.message"] or b""
    assert len(message) <= 8_192
    assert set(message.decode()) == {"é"}


def test_a_reason_with_lone_surrogates_can_be_written(workbench: Workbench) -> None:
    letter = OFFICE.write(workbench.record(b"a", b"x"), stage=STAGE_DECODE, reason="bad \udcff")
    assert dict(letter.headers)["__connect.errors.exception.message"] == b"bad ?"


@pytest.mark.parametrize("dialect", ["connect", "streams", "spring"])
def test_whatever_the_dialect_the_original_comes_first_byte_for_byte(
    workbench: Workbench, dialect: Dialect
) -> None:
    headers = (("a", b"\xff\x00"), ("__connect.errors.topic", b"elsewhere"), ("kafka_dlt-exception-fqcn", None))
    record = workbench.record(b"\xfe", None, headers)
    letter = DeadLetterOffice(group_id="sorters", dialect=dialect).write(
        record, stage=STAGE_DECODE, reason="broken", error=ValueError("x")
    )
    assert tuple(letter.headers[:3]) == headers
    assert len(letter.headers) > 3
    assert (letter.key, letter.value, letter.timestamp_ms) == (b"\xfe", None, record.timestamp)
