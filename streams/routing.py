"""Which outputs go together, and to which partition."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from aiokafka.partitioner import murmur2

from streams.offsets import Partition
from streams.output_columns import Outputs
from streams.records import Output


def by_source(outputs: Sequence[Output]) -> Mapping[Partition, Sequence[Sequence[Output]]]:
    """Return the outputs by the partition of their input, in parts that are to be sent one after the other."""
    parts: defaultdict[Partition, list[Sequence[Output]]] = defaultdict(list)
    if isinstance(outputs, Outputs):
        for part in outputs.parts:
            parts[part.source].append(part)
        return parts
    rows: defaultdict[Partition, list[Output]] = defaultdict(list)
    for output in outputs:
        rows[output.record.topic, output.record.partition].append(output)
    return {source: [one] for source, one in rows.items()}


def by_key(outputs: Sequence[Output], n_partitions: int) -> Mapping[int, Sequence[Output]]:
    """Return the outputs by the partition that their key decides on, by the hash of Java's clients.

    An output without a key goes by the partition of its input.
    """
    rows: defaultdict[int, list[Output]] = defaultdict(list)
    for output in outputs:
        number = output.record.partition if output.key is None else murmur2(output.key) & 0x7FFFFFFF
        rows[number % n_partitions].append(output)
    return rows
