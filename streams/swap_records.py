"""Records of which model classifies a partition from which offset on.

For every partition one is due with the first group of records after its assignment, and with every group that is
classified by another model than the one before. It goes out with the outputs of that group, in their transaction
if there is one. So a reader who goes by committed records finds the model of an offset: it is that of the last
record, in the order of the log, with a `first_offset` that is not larger.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Final, Protocol

import pyarrow as pa

from models.serving.served import ModelStamp
from schemas.cloudevents import product_headers, rfc3339
from schemas.columns import MODEL_SWAP
from schemas.encoding import Encoder
from streams.offsets import Partition
from streams.records import Output, Record

SWAP_TYPE: Final = "io.sortline.model.swapped.v1"


class Slice(Protocol):
    """A Faust event that carries a slice; its message knows topic, partition and generation of the group."""

    value: Sequence[Record]
    message: Any


class SwapRecords:
    """Tells which records are due. Not thread-safe: for the one who delivers.

    Args:
        encoder: of `columns.MODEL_SWAP`.
        group_id: of the consumer group.
        worker: what this worker is called.
        now_ms: the clock, in milliseconds since 1970.
    """

    def __init__(self, *, encoder: Encoder, group_id: str, worker: str, now_ms: Callable[[], int]) -> None:
        self._encoder = encoder
        self._group_id = group_id
        self._source = f"/sortline/{group_id}/models"
        self._worker = worker
        self._now_ms = now_ms
        self._told: dict[Partition, tuple[int, ModelStamp]] = {}

    def due(self, slices: Iterable[Slice], model: ModelStamp) -> list[Output]:
        """Return the records that have to be delivered with the outputs of these slices, and take them as told.

        The slices of a partition come in its order, each as often as it is delivered. If the delivery fails, the
        partition has to come back with another generation of the group, or not to this object: then all is told
        anew.
        """
        outputs: list[Output] = []
        for one in slices:
            message = one.message
            partition = (message.topic, message.partition)
            now = (message.generation_id, model)
            told = self._told.get(partition)
            if told == now or not len(one.value):
                continue
            before = told[1] if told is not None and told[0] == message.generation_id else None
            outputs.append(self._record(one.value[0], model, before))
            self._told[partition] = now
        return outputs

    def _record(self, first: Record, model: ModelStamp, before: ModelStamp | None) -> Output:
        now_ms = self._now_ms()
        place = f"{first.topic}/{first.partition}"
        row = {
            "group_id": self._group_id,
            "topic": first.topic,
            "partition": first.partition,
            "first_offset": first.offset,
            "model_name": model.name,
            "model_version": model.version,
            "registered_version": model.registered_version,
            "previous_model_version": before and before.version,
            "previous_registered_version": before and before.registered_version,
            "worker": self._worker,
            "swapped_at": datetime.fromtimestamp(now_ms / 1000, UTC),
        }
        (value,) = self._encoder.encode(pa.RecordBatch.from_pylist([row], MODEL_SWAP))
        headers = product_headers(
            source=self._source,
            type=SWAP_TYPE,
            event_id=f"{place}/{first.offset}/{model.version}",
            time_header=rfc3339(now_ms),
        )
        return Output(first, place.encode(), value, headers, now_ms)


def worker_name(static_member: str | None) -> str:
    """Return what to call this process: its group.instance.id, or else host name and process id."""
    return static_member or f"{socket.gethostname()}-{os.getpid()}"
