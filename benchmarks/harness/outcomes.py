"""Whether a way gave the results that the bundle gives: every event once, same category, same confidence."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from confluent_kafka import KafkaError

from benchmarks.harness.offsets import Ends, Offsets
from benchmarks.harness.product_events import n_products, number_of, products
from models.bundle import load_bundle
from schemas import columns
from schemas.avro_files import load_schema
from schemas.decoding import Decoder
from schemas.registry import SchemaRegistry

#: Key, value and number of headers.
Record = tuple[bytes, bytes, int]

_TOLERANCE: Final = 1e-6
_READ_SECONDS: Final = 300.0
_DECODED_TOGETHER: Final = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Decisions:
    """What was decided on each event, by its number; an event without a result has an empty path.

    Attributes:
        paths: categories, joined by `>`; unicode array.
        confidences: float64.
    """

    paths: npt.NDArray[np.str_]
    confidences: npt.NDArray[np.float64]


class WrongResultsError(Exception):
    """A way did not do the job."""


def expected_decisions(bundle: Path, n_events: int) -> Decisions:
    """Let the bundle decide on the events; on each product of the catalogue once, since only its id changes."""
    decisions = load_bundle(bundle).classify(products(min(n_events, n_products())))
    row = np.arange(n_events) % decisions.num_rows
    return Decisions(paths=_joined(decisions)[row], confidences=np.asarray(decisions["confidence"])[row])


def read_records(offsets: Offsets, starts: Ends, topics: list[str]) -> list[Record]:
    """Return key, value and number of headers of the records from there to the end, committed ones only.

    Raises SystemExit if that takes too long or a record has no value.
    """
    consumer = offsets.consumer(
        {place: at for place, at in starts.items() if place[0] in topics}, **{"enable.partition.eof": True}
    )
    unread = {place for place in starts if place[0] in topics}
    found: list[Record] = []
    deadline = time.monotonic() + _READ_SECONDS
    while unread:
        if time.monotonic() > deadline:
            raise SystemExit(f"reading the results took more than {_READ_SECONDS:.0f} s")
        for record in consumer.consume(5_000, 0.2):
            error = record.error()
            if error is not None:
                if error.code() != KafkaError._PARTITION_EOF:
                    raise SystemExit(f"reading the results failed: {error}")
                unread.discard((str(record.topic()), int(record.partition() or 0)))
                continue
            key, value = record.key(), record.value()
            if not isinstance(key, bytes) or not isinstance(value, bytes):
                raise SystemExit(f"a result in {record.topic()} has no key or no value")
            found.append((key, value, len(record.headers() or ())))
    consumer.close()
    return found


def decoded(registry: SchemaRegistry, records: Sequence[Record], n_events: int) -> Decisions:
    """Return the decisions in these records. Raises WrongResultsError if an event is not there exactly once."""
    numbers = np.array([number_of(key) for key, _, _ in records], np.int64)
    check_numbers(numbers, n_events)
    decoder = Decoder(registry, load_schema("product_categorized"), columns.PRODUCT_CATEGORIZED)
    paths = np.empty(n_events, object)
    confidences = np.empty(n_events)
    for start in range(0, len(records), _DECODED_TOGETHER):
        part = records[start : start + _DECODED_TOGETHER]
        result = decoder.decode([value for _, value, _ in part])
        if result.rejected:
            raise WrongResultsError(f"a result cannot be decoded: {result.rejected[0].reason}")
        at = numbers[start : start + len(part)]
        paths[at] = _joined(result.batch)
        confidences[at] = np.asarray(result.batch["confidence"])
    return Decisions(paths=paths.astype(str), confidences=confidences)


def check_numbers(numbers: npt.NDArray[np.int64], n_events: int) -> None:
    """Raise WrongResultsError unless each of the numbers 0 to n_events is there exactly once."""
    counts = np.bincount(numbers, minlength=n_events)
    if len(counts) > n_events or (counts != 1).any():
        missing, repeated = int((counts == 0).sum()), int((counts > 1).sum())
        raise WrongResultsError(f"of {n_events} events {missing} have no result and {repeated} more than one")


def check_same(found: Decisions, expected: Decisions) -> None:
    """Raise WrongResultsError if a category differs, or a confidence by more than 1e-6."""
    n_events = len(found.paths)
    other = np.flatnonzero(found.paths != expected.paths[:n_events])
    if len(other):
        i = int(other[0])
        raise WrongResultsError(
            f"{len(other)} of {n_events} events have another category than the bundle gives, the first one "
            f"{str(found.paths[i])!r} instead of {str(expected.paths[i])!r}"
        )
    apart = np.abs(found.confidences - expected.confidences[:n_events])
    if not (apart <= _TOLERANCE).all():
        raise WrongResultsError(f"a confidence is {apart.max():.2g} away from what the bundle gives")


def check_headers(records: Sequence[Record], n_headers: int) -> None:
    """Raise WrongResultsError unless every record has so many headers: they cost as much as the value."""
    wrong = next(((key, found) for key, _, found in records if found != n_headers), None)
    if wrong is not None:
        raise WrongResultsError(f"the result {wrong[0]!r} has {wrong[1]} headers instead of {n_headers}")


def check_passed_on(records: Sequence[Record], keys: Sequence[bytes], values: Sequence[bytes]) -> None:
    """Raise WrongResultsError unless the records are the events, byte for byte."""
    check_numbers(np.array([number_of(key) for key, _, _ in records], np.int64), len(keys))
    for key, value, _ in records:
        if value != values[number_of(key)]:
            raise WrongResultsError(f"{key!r} was not passed on as it was")


def _joined(batch: pa.RecordBatch) -> npt.NDArray[np.str_]:
    return np.array([" > ".join(path or ()) for path in batch["category_path"].to_pylist()])
