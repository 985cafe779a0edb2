"""What may lie in the log that a worker starts on: gaps, markers, records of any size; with exactly-once."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest
from confluent_kafka import Consumer, Message, TopicPartition

from schemas import columns
from tests.integration.streams.conftest import Topics, WorkerProcess, source, wait_for
from tests.integration.streams.flow import check_once, lags_of
from tests.topic_configs import set_topic_config

pytestmark = pytest.mark.integration

NewWorker = Callable[..., WorkerProcess]

#: What a topic takes unless it says otherwise.
_DEFAULT_LIMIT = 1_048_588


def _set_configs(stream: Topics, topic: str, **configs: str) -> None:
    for name, value in configs.items():
        set_topic_config(stream.bootstrap, topic, name.replace("_", "."), value)


def _seen(stream: Topics) -> list[Message]:
    """Return the input as a read_committed reader sees it now, from beginning to end."""
    topic = stream.names.created
    consumer = Consumer(
        {
            "bootstrap.servers": stream.bootstrap,
            "group.id": "none",
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
        }
    )
    consumer.assign([TopicPartition(topic, number, 0) for number in range(3)])
    seen: list[Message] = []
    n_ended = 0
    while n_ended < 3:
        for message in consumer.consume(1_000, 0.1):
            if message.error():
                n_ended += 1
            else:
                seen.append(message)
    consumer.close()
    return seen


def _ends(stream: Topics) -> int:
    """Return the sum of the input's end offsets."""
    topic = stream.names.created
    consumer = Consumer({"bootstrap.servers": stream.bootstrap, "group.id": "none"})
    ends = [consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=30)[1] for number in range(3)]
    consumer.close()
    return sum(ends)


def _write_in_transactions(stream: Topics, n_rounds: int, keys: list[bytes], value: bytes) -> None:
    """Write every key in each of many transactions, every other of which is aborted, and so is the last one."""
    producer = stream.producer(**{"transactional.id": stream.names.created})
    producer.init_transactions(30)
    for number in range(n_rounds):
        producer.begin_transaction()
        for key in keys:
            producer.produce(stream.names.created, key=key, value=value)
        assert producer.flush(30) == 0  # so that what is aborted is in the log
        (producer.abort_transaction if number % 2 else producer.commit_transaction)(30)


def test_a_log_full_of_gaps_is_read_to_its_end_with_lag_0(stream: Topics, new_worker: NewWorker) -> None:
    """The cleaner took records out and left markers, and the log ends with what was aborted."""
    _set_configs(
        stream,
        stream.names.created,
        cleanup_policy="compact",
        segment_ms="50",
        min_cleanable_dirty_ratio="0.0",
        delete_retention_ms="0",
    )
    keys = [key for key, _ in stream.values(30)]
    _, value = stream.values(1)[0]
    rounds = 20
    _write_in_transactions(stream, rounds, keys, value)
    # Of each key only the last committed version may stay; what is in the newest segments is not touched.
    written = rounds // 2 * len(keys)
    wait_for("the cleaner", lambda: len(_seen(stream)) <= written // 2)
    worker = new_worker(delivery="exactly-once", slice_rows=10).start()
    wait_for("the end of the log", lambda: stream.committed(worker.settings.group_id) == _ends(stream))
    wait_for("lag 0", lambda: lags_of(worker) == [0, 0, 0] and worker.is_ready())
    # The cleaner may take out more while we look; what it left before the worker came was read once.
    messages = stream.outputs(len(_seen(stream)))
    assert max(Counter(map(source, messages)).values()) == 1
    assert {one.key() for one in messages} == set(keys)
    assert _ends(stream) > 2 * len(messages)

    stream.produce(stream.values(5))
    check_once(stream, len(messages) + 5)
    assert worker.stop() == 0
    assert stream.committed(worker.settings.group_id) == _ends(stream)


def _product(stream: Topics, key: str, n_bytes: int) -> tuple[bytes, bytes]:
    """Return a valid product whose description makes it so large."""
    row = {"product_id": key, "title": "usb hub", "description": "x" * n_bytes}
    batch = pa.RecordBatch.from_pylist([row], columns.PRODUCT)
    return key.encode(), stream.encoder().encode(batch)[0]


def test_records_of_any_size_that_kafka_takes_pass_or_are_dead_letters_byte_for_byte(
    stream: Topics, new_worker: NewWorker
) -> None:
    largest = 6 << 20  # more than the worker fetches of a partition at once
    _set_configs(stream, stream.names.created, max_message_bytes=str(largest))
    _set_configs(stream, stream.names.dead_letters, max_message_bytes=str(largest + (1 << 20)))
    overhead = 200  # of a batch and its record with headers
    rows: list[tuple[bytes | None, bytes | None]] = [
        *stream.values(20),
        _product(stream, "valid", 500_000),
        _product(stream, "too-long", 900_000),
        (b"by-default", os.urandom(_DEFAULT_LIMIT - overhead)),
        (b"largest", os.urandom(largest - overhead)),
        *stream.values(20),
    ]
    stream.produce(rows, **{"message.max.bytes": largest})
    worker = new_worker(delivery="exactly-once").start()
    messages = check_once(stream, len(rows))
    letters = {one.key(): one for one in messages if one.topic() == stream.names.dead_letters}
    assert letters.keys() == {b"too-long", b"by-default", b"largest"}
    for key, value in rows:
        if key in letters:
            assert letters[key].value() == value
            assert dict(_headers(letters[key]))["__connect.errors.exception.message"]
    assert worker.stop() == 0
    assert stream.committed(worker.settings.group_id) == len(rows)


def _headers(message: Message) -> list[tuple[str, Any]]:
    return list(message.headers() or [])
