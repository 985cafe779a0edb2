"""Reads the dead-letter topic, and the marks of what was replayed, to the end that they have at the moment."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from typing import Final

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from schemas.errors import DependencyUnavailableError, SetupError
from schemas.topics import TopicNames
from sortline.broker import ANSWER_SECONDS, TO_THE_END, open_reader, topic_partitions, unavailable
from sortline.dead_letters.letters import Letter, Mark, Place, read_letter
from sortline.topic_reader import TopicRecord, topic_record

_POLL_SECONDS: Final = 0.5
_STALL_SECONDS: Final = 30.0


def read_letters(
    bootstrap: str, names: TopicNames, *, wanted: Mapping[int, tuple[int, int]] | None = None
) -> Iterator[Letter]:
    """Yield the dead letters: partition after partition, each in the order of its offsets.

    `wanted` are the first and the last offset of interest of each partition, both included; None is everything.
    Raises SetupError if there is no such topic, DependencyUnavailableError if Kafka does not answer.
    """
    for record in _records(bootstrap, names.dead_letters, wanted):
        yield read_letter(record)


def read_letter_at(bootstrap: str, names: TopicNames, place: Place) -> Letter:
    """Return the letter at a place. Raises SetupError if there is none, and as `read_letters` does."""
    partition, offset = place
    for letter in read_letters(bootstrap, names, wanted={partition: (offset, offset)}):
        return letter
    raise SetupError(f"{names.dead_letters} has no letter at {partition}:{offset}, or not any more")


def read_marks(bootstrap: str, names: TopicNames) -> dict[Place, Mark]:
    """Return the marks of the letters that were replayed, of committed transactions only."""
    marks: dict[Place, Mark] = {}
    for record in _records(bootstrap, names.replayed, None):
        place = _marked_place(record.key, names.dead_letters)
        if place is None:
            continue
        mark = None if record.value is None else read_mark(record.value)
        if mark is None:
            marks.pop(place, None)
        else:
            marks[place] = mark
    return marks


def mark_record(letter: Letter, *, now_ms: int) -> tuple[bytes, bytes]:
    """Return key and value of the mark of a letter that is being replayed."""
    mark = {"original": letter.failure.place, "attempts": letter.attempts + 1, "at_ms": now_ms}
    return letter.name.encode(), json.dumps(mark).encode()


def read_mark(value: bytes) -> Mark | None:
    """Return what a mark says, or None if it is none of ours."""
    try:
        fields = json.loads(value)
        return Mark(original=str(fields["original"]), attempts=int(fields["attempts"]), at_ms=int(fields["at_ms"]))
    except (ValueError, KeyError, TypeError):
        return None


def _marked_place(key: bytes | None, topic: str) -> Place | None:
    named, _, offset = (key or b"").decode("utf-8", "replace").rpartition("/")
    named, _, partition = named.rpartition("/")
    if named != topic or not (partition.isdecimal() and offset.isdecimal()):
        return None
    return int(partition), int(offset)


def _records(bootstrap: str, topic: str, wanted: Mapping[int, tuple[int, int]] | None) -> Iterator[TopicRecord]:
    consumer = open_reader(bootstrap, "sortline-dead-letters", TO_THE_END)
    try:
        for partition in topic_partitions(consumer, [topic], bootstrap=bootstrap)[topic]:
            if wanted is None:
                yield from _partition(consumer, bootstrap, topic, partition, None)
            elif partition in wanted:
                yield from _partition(consumer, bootstrap, topic, partition, wanted[partition])
    finally:
        consumer.close()


def _partition(
    consumer: Consumer, bootstrap: str, topic: str, partition: int, wanted: tuple[int, int] | None
) -> Iterator[TopicRecord]:
    """Yield the records of a partition up to its present end, or the last one wanted."""
    place = TopicPartition(topic, partition)
    try:
        low, end = consumer.get_watermark_offsets(place, timeout=ANSWER_SECONDS)
    except KafkaException as error:
        raise unavailable(bootstrap, error) from error
    first, last = (low, end - 1) if wanted is None else (max(low, wanted[0]), min(end - 1, wanted[1]))
    if first > last:
        return
    consumer.assign([TopicPartition(topic, partition, first)])
    heard = time.monotonic()
    while True:
        # One at a time: `consume` would wait for more of them at the end of every partition.
        message = consumer.poll(_POLL_SECONDS)
        if message is None:
            if time.monotonic() - heard > _STALL_SECONDS:
                raise DependencyUnavailableError(f"Kafka at {bootstrap} sends nothing of {topic}: is it up?")
            continue
        heard = time.monotonic()
        trouble = message.error()
        if trouble is not None:
            # The end may come before `end`: what is behind it is a transaction that is not over.
            if trouble.code() == KafkaError._PARTITION_EOF:
                return
            if trouble.retriable():
                continue
            raise DependencyUnavailableError(f"Kafka at {bootstrap}: {trouble.str()}")
        record = topic_record(message)
        if record.offset <= last:
            yield record
        if record.offset >= last:
            return
