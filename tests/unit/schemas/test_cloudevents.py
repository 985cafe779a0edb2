from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.cloudevents import output_headers, product_headers, rfc3339

TRACE = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def headers_for(incoming: list[tuple[str, bytes | None]] | None) -> list[tuple[str, bytes]]:
    return output_headers(
        source="sortline/worker",
        type="io.sortline.product.categorized",
        topic="products.created",
        partition=3,
        offset=41,
        time_header=b"2026-01-02T03:04:05.006Z",
        incoming=incoming,
    )


def test_an_output_says_where_it_came_from_by_its_id() -> None:
    assert headers_for([]) == [
        ("ce_specversion", b"1.0"),
        ("ce_id", b"products.created/3/41"),
        ("ce_source", b"sortline/worker"),
        ("ce_type", b"io.sortline.product.categorized"),
        ("ce_time", b"2026-01-02T03:04:05.006Z"),
        ("content-type", b"application/avro"),
    ]


def test_the_trace_is_passed_on_byte_for_byte_and_nothing_else_is() -> None:
    incoming: list[tuple[str, bytes | None]] = [
        ("ce_id", b"theirs"),
        ("traceparent", TRACE),
        ("authorization", b"secret"),
    ]
    assert headers_for(incoming) == [*headers_for([]), ("traceparent", TRACE)]


def test_of_several_traces_the_last_counts() -> None:
    assert headers_for([("traceparent", b"old"), ("traceparent", TRACE), ("traceparent", None)])[-1][1] == TRACE


@pytest.mark.parametrize("incoming", [None, [("traceparent", None)], [("Traceparent", TRACE)], [("", b"\xff")]])
def test_without_a_trace_none_is_made_up(incoming: list[tuple[str, bytes | None]] | None) -> None:
    assert headers_for(incoming) == headers_for([])


@given(st.lists(st.tuples(st.text(), st.none() | st.binary())))
def test_no_incoming_header_makes_it_fail(incoming: list[tuple[str, bytes | None]]) -> None:
    assert headers_for(incoming)[:6] == headers_for([])


@given(st.integers(0, 253_402_300_799_999))
def test_a_time_reads_back_to_the_millisecond(milliseconds: int) -> None:
    text = rfc3339(milliseconds).decode()
    assert text.endswith("Z")
    assert datetime.fromisoformat(text) == datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)


def test_a_product_of_a_file_has_the_id_that_it_was_given() -> None:
    headers = product_headers(source="file.csv", type="t", event_id="run/17", time_header=rfc3339(0))
    assert dict(headers)["ce_id"] == b"run/17"
    assert dict(headers)["ce_time"] == b"1970-01-01T00:00:00.000Z"
