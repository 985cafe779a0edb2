"""Records in, outputs out: what the stream does with a slice, without any Kafka.

Column by column from the fetched bytes to those that are sent; only dead letters are objects. Every record ends in
exactly one place: the categorized topic, the review topic or the dead letters.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from models.serving.served import Classifier, ModelStamp, ServedModel
from schemas import stages
from schemas.clean_columns import Texts, which_are
from schemas.cloudevents import rfc3339
from schemas.columns import DECISION, PRODUCT_CATEGORIZED
from schemas.errors import DependencyUnavailableError, SetupError
from schemas.stages import StageClock
from schemas.validation import check_products
from streams.batch_format import I64
from streams.dead_letters import STAGE_CLASSIFY, STAGE_DECODE, STAGE_VALIDATE, DeadLetterOffice
from streams.dialects import DEFAULT_DIALECT, Dialect
from streams.output_columns import Envelope, Outputs, OutputSlice, OutputWriter, sorted_out
from streams.record_slice import RecordGroup
from streams.records import Output, Record

if TYPE_CHECKING:
    from schemas.decoding import Decoder
    from schemas.encoding import Datums, Encoder
    from schemas.encoding_plan import Column

CATEGORIZED_TYPE: Final = "io.sortline.product.categorized.v1"
WITHDRAWN_TYPE: Final = "io.sortline.product.withdrawn.v1"

#: The stage that is not a step of deciding: arrays of what goes where.
_LAY_OUT: Final = "lay out"

_DECISION_AT: Final = DECISION.get_field_index("decision")
_REVIEW_WORD: Final = np.frombuffer(b"review", np.uint8)
_BACKED_OFF_WORD: Final = np.frombuffer(b"backed_off", np.uint8)
_TIME: Final = PRODUCT_CATEGORIZED.field("categorized_at").type

_CATEGORIZED: Final = 0
_REVIEW: Final = 1
_DEAD: Final = 2
#: The first two have outputs in columns.
_N_PLACES: Final = 2

#: A compacted topic takes no tombstone without a key.
_TOMBSTONE_WITHOUT_KEY: Final = "a record without value withdraws a product, and needs its id as the key"

#: So many rows that fail alone, and not one that works: the fault is not in the rows.
_TOO_MANY_INTERNAL_ERRORS: Final = 16


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
        model: which one decided, on all of them.
        stage_ns: CPU nanoseconds of each stage of the work.
    """

    categorized: Sequence[Output]
    review: Sequence[Output]
    dead_letters: Sequence[Output]
    dead_positions: Sequence[int]
    n_tombstones: int
    n_backed_off: int
    model: ModelStamp
    stage_ns: Mapping[str, int] = field(default_factory=dict)

    @property
    def n_records(self) -> int:
        """How many records went in."""
        return len(self.categorized) + len(self.review) + len(self.dead_letters)


class SliceProcessor:
    """Turns slices into outputs. Synchronous; call `process` from one thread at a time, but any thread.

    Args:
        decoder: of the input's values, to `columns.PRODUCT`.
        classifier: the model to begin with.
        registered_version: its number in the model registry, if it is from there.
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
        registered_version: int | None = None,
        encoder: Encoder,
        review_encoder: Encoder | None = None,
        group_id: str,
        now_ms: Callable[[], int],
        dialect: Dialect = DEFAULT_DIALECT,
    ) -> None:
        self._decoder = decoder
        self._model = ServedModel.of(classifier, registered_version)
        self._encoder = encoder
        self._review_encoder = review_encoder or encoder
        self._source = f"/sortline/{group_id}"
        self._dead_letters = DeadLetterOffice(group_id=group_id, dialect=dialect)
        self._now_ms = now_ms
        self._clock = StageClock()

    @property
    def dead_letter_office(self) -> DeadLetterOffice:
        """Writes the dead letters of this group."""
        return self._dead_letters

    @property
    def model(self) -> ModelStamp:
        """Which model decides on what is processed from now on."""
        return self._model.stamp

    def swap(self, classifier: Classifier, registered_version: int | None = None) -> None:
        """Decide by another model from the next call of `process` on; any thread may call this at any time."""
        self._model = ServedModel.of(classifier, registered_version)

    def process(self, records: Sequence[Record]) -> SliceOutputs:
        """Decide on every record, all by the same model; order is kept, and nothing is changed.

        The records may come from several partitions. Values that cannot be decoded, are not valid, or that the
        model fails on become dead letters; null values become tombstones for subscribers.

        Raises DependencyUnavailableError if the registry does not answer: nothing is decided then, try again. Any
        other exception is a fault of this program or its set-up, not of a record.
        """
        model = self._model  # read once: another thread may swap it meanwhile
        if not len(records):
            return SliceOutputs(
                categorized=(),
                review=(),
                dead_letters=(),
                dead_positions=(),
                n_tombstones=0,
                n_backed_off=0,
                model=model.stamp,
            )
        clock = self._clock
        clock.start()
        group = RecordGroup.of(records)
        draft = _Draft(model=model, now_ms=self._now_ms(), places=np.full(len(group), _CATEGORIZED, np.uint8))
        is_null = group.value_sizes < 0
        valued = np.arange(len(group))
        if is_null.any():
            for position in np.flatnonzero(is_null & (group.key_sizes <= 0)).tolist():
                draft.faults[position] = _Fault(STAGE_VALIDATE, _TOMBSTONE_WITHOUT_KEY)
            valued = np.flatnonzero(~is_null)
        if len(valued):
            self._decide(group, valued, draft)
        return self._outputs(group, draft)

    def _decide(self, group: RecordGroup, positions: I64, draft: _Draft) -> None:
        """Decide on the records at these positions; if that fails as a whole, find the rows at fault by halves."""
        try:
            self._decide_together(group, positions, draft)
        except (DependencyUnavailableError, SetupError, MemoryError):
            raise
        except Exception as error:
            if len(positions) > 1:
                half = len(positions) // 2
                self._decide(group, positions[:half], draft)
                self._decide(group, positions[half:], draft)
                return
            draft.n_internal_errors += 1
            if draft.n_internal_errors >= _TOO_MANY_INTERNAL_ERRORS and not draft.n_decided:
                raise
            reason = f"internal error, {type(error).__name__}: {error}"
            draft.faults[int(positions[0])] = _Fault(STAGE_CLASSIFY, reason, error)

    def _decide_together(self, group: RecordGroup, positions: I64, draft: _Draft) -> None:
        """Decide on the records at these positions in one go, or raise and leave the draft as it was."""
        faults: dict[int, _Fault] = {}
        clock = self._clock
        decoded = self._decoder.decode(group.values(positions))
        clock.lap(stages.DECODE)
        for one in decoded.rejected:
            faults[int(positions[one.row])] = _Fault(STAGE_DECODE, one.reason)
        batch, where = decoded.batch, positions[decoded.rows]
        invalid = check_products(batch, group.keys(where))
        if invalid:
            is_valid = np.ones(len(where), np.bool_)
            for one in invalid:
                faults[int(where[one.row])] = _Fault(STAGE_VALIDATE, one.reason)
                is_valid[one.row] = False
            batch, where = batch.filter(pa.array(is_valid)), where[is_valid]
        clock.lap(stages.VALIDATE)
        if batch.num_rows:
            decisions = draft.model.classifier.classify(batch, clock)
            datums = self._encoded(decisions, group, where, draft)
            clock.lap(stages.ENCODE)
            draft.decided.append((where, datums))
            decided = Texts.of(decisions.column(_DECISION_AT))
            draft.places[where[which_are(decided, _REVIEW_WORD)]] = _REVIEW
            draft.n_backed_off += int(np.count_nonzero(which_are(decided, _BACKED_OFF_WORD)))
        draft.n_decided += len(positions)
        draft.faults.update(faults)

    def _encoded(self, decisions: pa.RecordBatch, group: RecordGroup, where: I64, draft: _Draft) -> Datums:
        """Return the decisions tied to their input records, as `columns.PRODUCT_CATEGORIZED`."""
        columns: dict[str, Column] = dict(zip(decisions.schema.names, decisions.columns, strict=True))
        columns |= draft.model.constants
        columns["source"] = group.places(where)
        columns["categorized_at"] = pa.array([draft.now_ms], _TIME)
        return self._encoder.encode_columns(columns, len(where))

    def _outputs(self, group: RecordGroup, draft: _Draft) -> SliceOutputs:
        places = draft.places
        dead_positions = sorted(draft.faults)
        if dead_positions:
            places[dead_positions] = _DEAD
        values, bounds, nth = _laid_together(draft.decided, len(group))
        outputs = sorted_out(places, group.starts, nth, bounds, _N_PLACES)
        writer = OutputWriter(
            Envelope(
                source=self._source,
                type=CATEGORIZED_TYPE,
                tombstone_type=WITHDRAWN_TYPE,
                time_header=rfc3339(draft.now_ms),
                timestamp_ms=draft.now_ms,
            )
        )
        n_slices = len(group.slices)

        def going_to(place: int, frame: bytes) -> Outputs:
            parts: list[OutputSlice] = []
            cuts = outputs.cuts[place * n_slices : (place + 1) * n_slices + 1]
            for records, (first, stop) in zip(group.slices, itertools.pairwise(cuts), strict=True):
                if first < stop:
                    part = writer.write(
                        records,
                        outputs.rows[first:stop],
                        values=values,
                        value_at=outputs.value_at[first:stop],
                        value_size=outputs.value_size[first:stop],
                        frame=frame,
                    )
                    parts.append(part)
            return Outputs(parts)

        categorized = going_to(_CATEGORIZED, self._encoder.frame)
        review = going_to(_REVIEW, self._review_encoder.frame)
        dead_letters = [self._dead_letter(group[at], draft.faults[at]) for at in dead_positions]
        n_tombstones = int(np.count_nonzero(outputs.value_size[: len(categorized)] < 0))
        self._clock.lap(_LAY_OUT)
        return SliceOutputs(
            categorized=categorized,
            review=review,
            dead_letters=dead_letters,
            dead_positions=dead_positions,
            n_tombstones=n_tombstones,
            n_backed_off=draft.n_backed_off,
            model=draft.model.stamp,
            stage_ns=self._clock.taken(),
        )

    def _dead_letter(self, record: Record, fault: _Fault) -> Output:
        return self._dead_letters.write(record, stage=fault.stage, reason=fault.reason, error=fault.error)


@dataclass(frozen=True, slots=True)
class _Fault:
    stage: str
    reason: str
    error: BaseException | None = None


@dataclass(slots=True, kw_only=True)
class _Draft:
    """What is known of a group of records so far.

    Attributes:
        model: that decides.
        now_ms: when it is decided.
        places: uint8 (n): where each record goes, if nothing is wrong with it.
        decided: positions of records, and their encoded decisions in the same order.
        faults: what is wrong, by position.
    """

    model: ServedModel
    now_ms: int
    places: npt.NDArray[np.uint8]
    decided: list[tuple[I64, Datums]] = field(default_factory=list)
    faults: dict[int, _Fault] = field(default_factory=dict)
    n_backed_off: int = 0
    n_decided: int = 0
    n_internal_errors: int = 0


def _laid_together(
    decided: Sequence[tuple[I64, Datums]], n_records: int
) -> tuple[npt.NDArray[np.uint8], I64, I64]:
    """Return all values in one buffer, the bounds of each in it, and for each record which one it has, or -1."""
    nth = np.full(n_records, -1, np.int64)
    if not decided:
        return np.empty(0, np.uint8), np.zeros(1, np.int64), nth
    if len(decided) == 1:
        ((where, (content, bounds)),) = decided
        nth[where] = np.arange(len(where))
        return content, bounds.astype(np.int64), nth
    where = np.concatenate([positions for positions, _ in decided])
    nth[where] = np.arange(len(where))
    sizes = np.concatenate([np.diff(datums.bounds) for _, datums in decided])
    content = np.concatenate([datums.content for _, datums in decided])
    return content, np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)]), nth
