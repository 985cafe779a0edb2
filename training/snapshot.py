"""A snapshot of the catalogue topic: its products at one moment, in one Parquet file with its lineage.

The file holds the columns of `LABELLED_PRODUCT`, one row a product, sorted by product_id; the lineage stands in
the Parquet metadata under `sortline.lineage`, so that the two cannot be parted.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from schemas.avro_files import load_schema
from schemas.columns import LABELLED_PRODUCT
from schemas.decoding import Decoder
from schemas.errors import InputFileError, SetupError
from schemas.registry import SchemaRegistry
from schemas.validation import check_labels, check_products
from training.catalog import content_digest, latest_products
from training.compacted_topic import CompactedTopic, LatestRecord, read_compacted_topic
from training.lineage import Lineage
from training.progress import Progress

_LINEAGE_KEY: Final = b"sortline.lineage"
_ROWS_AT_ONCE: Final = 4_096

#: Above this share of unusable products (and this number of them) something is wrong with the producer, and a
#: model of the rest would quietly be a model of another catalogue.
MAX_REJECTED_SHARE: Final = 0.05
_REJECTED_ALLOWED_ANYWAY: Final = 10

#: How many different reasons, and examples, are kept to show.
_SHOWN: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The products of a topic and where they came from.

    Attributes:
        products: columns of `LABELLED_PRODUCT`, sorted by product_id.
        lineage: what was read.
        rejected: why products were left out: each reason and its number of products, most frequent first; at most
            20 reasons. Empty in a snapshot read back from its file.
        rejected_examples: places (`topic/partition/offset`) and reasons of the first 20 products left out.
    """

    products: pa.Table
    lineage: Lineage
    rejected: Mapping[str, int]
    rejected_examples: tuple[tuple[str, str], ...]


def take_snapshot(
    *,
    bootstrap: str,
    registry: SchemaRegistry,
    topic: str,
    to: Path | None,
    progress: Progress,
    max_rejected_share: float = MAX_REJECTED_SHARE,
    stall_seconds: float = 30.0,
) -> Snapshot:
    """Read the topic as it is now; its products become the file `to`, if named, which appears whole or not at all.

    The last record of a product counts, a tombstone removes it, and one that cannot be decoded or is not valid is
    left out, counted and given with its reason. Blocks until the end that the topic had at the start.

    Raises SetupError if the topic is missing or has no usable product, or if more than `max_rejected_share` of its
    products (and more than ten) cannot be used; DependencyUnavailableError if Kafka or the registry does not
    answer.
    """
    read = read_compacted_topic(bootstrap, topic, progress, stall_seconds=stall_seconds)
    snapshot = build_snapshot(read, registry, progress, max_rejected_share=max_rejected_share)
    if to is not None:
        write_snapshot(snapshot, to)
    return snapshot


def build_snapshot(
    read: CompactedTopic,
    registry: SchemaRegistry,
    progress: Progress,
    *,
    max_rejected_share: float = MAX_REJECTED_SHARE,
) -> Snapshot:
    """Decode and check what was read of a topic; everything of `take_snapshot` that needs no broker."""
    keyed = {key: record for key, record in read.latest.items() if record.value is not None}
    usable = _decode_all(keyed, read.topic, registry, progress)
    rejections = (*usable.rejections, *((place, "the record has no key") for place in read.keyless))
    reasons = Counter(reason for _, reason in rejections)
    _refuse_if_unusable(read.topic, len(keyed) + len(read.keyless), rejections, reasons, max_rejected_share)
    products = latest_products(usable.products)
    return Snapshot(
        products=products,
        lineage=Lineage(
            topic=read.topic,
            offsets=read.offsets,
            schema_ids=usable.schema_ids,
            rows=products.num_rows,
            removed=len(read.latest) - len(keyed),
            rejected=len(rejections),
            content_digest=content_digest(products),
        ),
        rejected=dict(reasons.most_common(_SHOWN)),
        rejected_examples=rejections[:_SHOWN],
    )


def read_snapshot(path: Path) -> Snapshot:
    """Read what `take_snapshot` wrote.

    Raises InputFileError if the file is missing, is no snapshot, or its rows do not have the digest of its
    lineage.
    """
    try:
        table = pq.read_table(path)
        lineage = Lineage.from_json(json.loads((table.schema.metadata or {})[_LINEAGE_KEY]))
        products = table.replace_schema_metadata(None).cast(LABELLED_PRODUCT)
    except (OSError, KeyError, ValueError, pa.ArrowException) as error:
        raise InputFileError(f"{path} is not a snapshot of a catalogue topic: {error!r}.") from error
    if content_digest(products) != lineage.content_digest:
        raise InputFileError(f"{path} was changed after the snapshot was taken: its rows do not have its digest.")
    return Snapshot(products=products, lineage=lineage, rejected={}, rejected_examples=())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Usable:
    """Products that could be decoded and are valid, and (place, reason) of each of the others."""

    products: pa.Table
    schema_ids: frozenset[int]
    rejections: tuple[tuple[str, str], ...]


def _decode_all(
    records: Mapping[bytes, LatestRecord], topic: str, registry: SchemaRegistry, progress: Progress
) -> _Usable:
    decoder = Decoder(registry, load_schema("labelled_product"), LABELLED_PRODUCT)
    batches: list[pa.RecordBatch] = []
    schema_ids: set[int] = set()
    rejections: list[tuple[str, str]] = []
    keys = sorted(records)
    progress.step("Decoding", len(keys))
    for start in range(0, len(keys), _ROWS_AT_ONCE):
        some_keys = keys[start : start + _ROWS_AT_ONCE]
        some = [records[key] for key in some_keys]
        decoded = decoder.decode([record.value for record in some if record.value is not None])
        reasons = {rejected.row: rejected.reason for rejected in decoded.rejected}
        row_keys: Sequence[bytes] = [some_keys[row] for row in decoded.rows.tolist()]
        for invalid in (*check_products(decoded.batch, row_keys), *check_labels(decoded.batch)):
            reasons.setdefault(int(decoded.rows[invalid.row]), invalid.reason)
        is_valid = np.array([row not in reasons for row in decoded.rows.tolist()], np.bool_)
        batches.append(decoded.batch.filter(pa.array(is_valid)))
        schema_ids.update(decoded.schema_ids)
        rejections += [
            (f"{topic}/{some[row].partition}/{some[row].offset}", reasons[row]) for row in sorted(reasons)
        ]
        progress.advance(len(some))
    return _Usable(
        products=pa.Table.from_batches(batches, LABELLED_PRODUCT),
        schema_ids=frozenset(schema_ids),
        rejections=tuple(rejections),
    )


def _refuse_if_unusable(
    topic: str,
    n_products: int,
    rejections: Sequence[tuple[str, str]],
    reasons: Mapping[str, int],
    max_rejected_share: float,
) -> None:
    if n_products == 0:
        raise SetupError(f"The topic {topic} holds no products: fill it with `sortline produce FILE --catalog`.")
    if len(rejections) > max(max_rejected_share * n_products, _REJECTED_ALLOWED_ANYWAY) or (
        len(rejections) == n_products
    ):
        place, reason = rejections[0]
        raise SetupError(
            f"{len(rejections)} of the {n_products} products in {topic} cannot be used, more than "
            f"{max_rejected_share:.0%}: a model of the rest would not be one of this catalogue. "
            f"The first is {place}: {reason}. There are {len(reasons)} different reasons in all."
        )


def write_snapshot(snapshot: Snapshot, to: Path) -> None:
    """Write the file `to`, whole or not at all. Raises SetupError if that cannot be."""
    lineage = json.dumps(snapshot.lineage.to_json(), sort_keys=True).encode()
    table = snapshot.products.replace_schema_metadata({_LINEAGE_KEY: lineage})
    part = to.with_name(f".{to.name}.part")
    try:
        to.parent.mkdir(parents=True, exist_ok=True)
        try:
            pq.write_table(table, part, compression="zstd")
            part.replace(to)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise SetupError(f"The snapshot cannot be written to {to}: {error}.") from error
