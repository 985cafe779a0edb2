"""Records in, outputs out: what the stream does with a slice, without any Kafka.

Column by column from decode to encode; per row there is only the building of the output tuple. Every record ends
in exactly one place: the categorized topic, the review topic or the dead letters.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas.cloudevents import output_headers, rfc3339
from schemas.columns import PRODUCT_CATEGORIZED
from schemas.errors import DependencyUnavailableError, SetupError
from schemas.validation import check_products
from streams.dead_letters import STAGE_CLASSIFY, STAGE_DECODE, STAGE_VALIDATE, DeadLetterOffice
from streams.dialects import DEFAULT_DIALECT, Dialect
from streams.records import Output, Record

if TYPE_CHECKING:
    from schemas.decoding import Decoder
    from schemas.encoding import Encoder

CATEGORIZED_TYPE: Final = "io.sortline.product.categorized.v1"
WITHDRAWN_TYPE: Final = "io.sortline.product.withdrawn.v1"

#: So many rows that fail alone, and not one that works: the fault is not in the rows.
_TOO_MANY_INTERNAL_ERRORS: Final = 16


class Taxonomy(Protocol):
    """What a published event tells of the categories."""

    @property
    def version(self) -> str: ...  # noqa: D102  # told above


class Classifier(Protocol):
    """What the stream needs of a model: `models.classifier.Classifier` is one."""

    @property
    def name(self) -> str: ...  # noqa: D102  # as published
    @property
    def version(self) -> str: ...  # noqa: D102
    @property
    def feature_fingerprint(self) -> str: ...  # noqa: D102
    @property
    def taxonomy(self) -> Taxonomy: ...  # noqa: D102

    def classify(self, products: pa.RecordBatch) -> pa.RecordBatch:
        """Decide on `columns.PRODUCT`: a batch of `columns.DECISION`, in the order given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceOutputs:
    """What became of the records of a slice; each list in the order of the records.

    Attributes:
        categorized: for the categorized topic, tombstones among them.
        review: for the review topic.
        dead_letters: for the dead-letter topic.
        dead_positions: where in the slice the records of `dead_letters` stood.
        n_tombstones: how many of `categorized` are tombstones.
        n_backed_off: how many of `categorized` name only an ancestor.
    """

    categorized: list[Output]
    review: list[Output]
    dead_letters: list[Output]
    dead_positions: list[int]
    n_tombstones: int
    n_backed_off: int

    @property
    def n_records(self) -> int:
        """How many records went in."""
        return len(self.categorized) + len(self.review) + len(self.dead_letters)


class SliceProcessor:
    """Turns slices into outputs. Synchronous; call it from one thread at a time, but any thread.

    Args:
        decoder: of the input's values, to `columns.PRODUCT`.
        classifier: the model.
        encoder: of `columns.PRODUCT_CATEGORIZED`, for the categorized topic.
        review_encoder: the same for the review topic, where the registry may know the schema by another id.
        group_id: of the consumer group: the outputs' `ce_source` is `/sortline/<group_id>`.
        now_ms: the clock, in milliseconds since 1970.
        dialect: of the dead letters' headers.
    """

    def __init__(
        self,
        *,
        decoder: Decoder,
        classifier: Classifier,
        encoder: Encoder,
        review_encoder: Encoder | None = None,
        group_id: str,
        now_ms: Callable[[], int],
        dialect: Dialect = DEFAULT_DIALECT,
    ) -> None:
        self._decoder = decoder
        self._classifier = classifier
        self._encoder = encoder
        self._review_encoder = review_encoder or encoder
        self._source = f"/sortline/{group_id}"
        self._dead_letters = DeadLetterOffice(group_id=group_id, dialect=dialect)
        self._now_ms = now_ms

    @property
    def dead_letter_office(self) -> DeadLetterOffice:
        """Writes the dead letters of this group."""
        return self._dead_letters

    def process(self, records: Sequence[Record]) -> SliceOutputs:
        """Decide on every record; order is kept, and nothing is changed.

        The records may come from several partitions. Values that cannot be decoded, are not valid, or that the
        model fails on become dead letters; null values become tombstones for subscribers.

        Raises DependencyUnavailableError if the registry does not answer: nothing is decided then, try again. Any
        other exception is a fault of this program or its set-up, not of a record.
        """
        draft = _Draft(now_ms=self._now_ms(), values=[None] * len(records), is_review=[False] * len(records))
        valued: list[int] = []  # positions of the records that have a value
        for position, record in enumerate(records):
            if record.value is not None:
                valued.append(position)
            elif fault := _tombstone_fault(record.key):
                draft.faults[position] = fault
        if valued:
            self._decide(records, valued, draft)
        return self._outputs(records, draft)

    def _decide(self, records: Sequence[Record], positions: Sequence[int], draft: _Draft) -> None:
        """Decide on the records at these positions; if that fails as a whole, find the rows at fault by halves."""
        try:
            self._decide_together(records, positions, draft)
        except (DependencyUnavailableError, SetupError, MemoryError):
            raise
        except Exception as error:
            if len(positions) > 1:
                half = len(positions) // 2
                self._decide(records, positions[:half], draft)
                self._decide(records, positions[half:], draft)
                return
            draft.n_internal_errors += 1
            if draft.n_internal_errors >= _TOO_MANY_INTERNAL_ERRORS and not draft.n_decided:
                raise
            reason = f"internal error, {type(error).__name__}: {error}"
            draft.faults[positions[0]] = _Fault(STAGE_CLASSIFY, reason, error)

    def _decide_together(self, records: Sequence[Record], positions: Sequence[int], draft: _Draft) -> None:
        """Decide on the records at these positions in one go, or raise and leave the draft as it was."""
        faults: dict[int, _Fault] = {}
        decoded = self._decoder.decode([records[at].value or b"" for at in positions])
        for one in decoded.rejected:
            faults[positions[one.row]] = _Fault(STAGE_DECODE, one.reason)
        batch, where = decoded.batch, [positions[row] for row in decoded.rows.tolist()]
        invalid = check_products(batch, [records[at].key for at in where])
        if invalid:
            is_valid = np.ones(len(where), np.bool_)
            for one in invalid:
                faults[where[one.row]] = _Fault(STAGE_VALIDATE, one.reason)
                is_valid[one.row] = False
            batch = batch.filter(pa.array(is_valid))
            where = [at for at, good in zip(where, is_valid.tolist(), strict=True) if good]
        if batch.num_rows:
            decisions = self._classifier.classify(batch)
            is_review = _is(decisions, "review")
            values = self._encode(self._published(decisions, records, where, draft.now_ms), is_review)
            for at, value, review in zip(where, values, is_review.tolist(), strict=True):
                draft.values[at] = value
                draft.is_review[at] = review
            draft.n_backed_off += int(_is(decisions, "backed_off").sum())
        draft.n_decided += len(positions)
        draft.faults.update(faults)

    def _published(
        self,
        decisions: pa.RecordBatch,
        records: Sequence[Record],
        where: Sequence[int],
        now_ms: int,
    ) -> pa.RecordBatch:
        """Return the decisions tied to their input records, `columns.PRODUCT_CATEGORIZED`."""
        sources = [records[at] for at in where]
        n_rows = len(sources)
        source_type = PRODUCT_CATEGORIZED.field("source").type
        source = pa.StructArray.from_arrays(
            [
                pa.array([one.topic for one in sources], pa.string()),
                pa.array([one.partition for one in sources], pa.int32()),
                pa.array([one.offset for one in sources], pa.int64()),
            ],
            fields=list(source_type),
        )
        model = self._classifier
        constants = (model.name, model.version, model.feature_fingerprint, model.taxonomy.version)
        time_type = PRODUCT_CATEGORIZED.field("categorized_at").type
        arrays = [
            *decisions.columns,
            *(pa.repeat(text, n_rows) for text in constants),
            source,
            pa.repeat(pa.scalar(now_ms, time_type), n_rows),
        ]
        return pa.RecordBatch.from_arrays(arrays, schema=PRODUCT_CATEGORIZED)

    def _encode(self, batch: pa.RecordBatch, is_review: npt.NDArray[np.bool_]) -> list[bytes]:
        values = self._encoder.encode(batch)
        if self._review_encoder is not self._encoder and is_review.any():
            reviewed = self._review_encoder.encode(batch.filter(pa.array(is_review)))
            for at, value in zip(np.flatnonzero(is_review), reviewed, strict=True):
                values[at] = value
        return values

    def _outputs(self, records: Sequence[Record], draft: _Draft) -> SliceOutputs:
        categorized: list[Output] = []
        review: list[Output] = []
        dead_letters: list[Output] = []
        n_tombstones = 0
        time_header = rfc3339(draft.now_ms)
        for at, record in enumerate(records):
            value = draft.values[at]
            if value is None and at in draft.faults:
                fault = draft.faults[at]
                dead_letters.append(
                    self._dead_letters.write(record, stage=fault.stage, reason=fault.reason, error=fault.error)
                )
                continue
            n_tombstones += value is None
            headers = output_headers(
                source=self._source,
                type=WITHDRAWN_TYPE if value is None else CATEGORIZED_TYPE,
                topic=record.topic,
                partition=record.partition,
                offset=record.offset,
                time_header=time_header,
                incoming=record.headers,
            )
            to = review if draft.is_review[at] else categorized
            to.append(Output(record, record.key, value, headers, draft.now_ms))
        return SliceOutputs(
            categorized=categorized,
            review=review,
            dead_letters=dead_letters,
            dead_positions=sorted(draft.faults),
            n_tombstones=n_tombstones,
            n_backed_off=draft.n_backed_off,
        )


@dataclass(frozen=True, slots=True)
class _Fault:
    stage: str
    reason: str
    error: BaseException | None = None


@dataclass(slots=True, kw_only=True)
class _Draft:
    """What is known of a slice so far, by position of the record."""

    now_ms: int
    values: list[bytes | None]
    is_review: list[bool]
    faults: dict[int, _Fault] = field(default_factory=dict)
    n_backed_off: int = 0
    n_decided: int = 0
    n_internal_errors: int = 0


def _is(decisions: pa.RecordBatch, decision: str) -> npt.NDArray[np.bool_]:
    """Return which rows have this decision."""
    return np.asarray(pc.equal(decisions["decision"], pa.scalar(decision)))


def _tombstone_fault(key: bytes | None) -> _Fault | None:
    """Return what is wrong with a tombstone: a compacted topic takes none without a key."""
    if not key:
        return _Fault(STAGE_VALIDATE, "a record without value withdraws a product, and needs its id as the key")
    return None
