"""A worker on a real Kafka and a real registry: what goes in comes out, and nothing is lost on the way."""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from confluent_kafka import Consumer, Message
from confluent_kafka.admin import AdminClient

from schemas.avro_files import load_schema
from schemas.columns import PRODUCT_CATEGORIZED
from schemas.decoding import Decoder
from tests.integration.streams.conftest import Topics, WorkerProcess, source, wait_for
from tests.topic_configs import set_topic_config

if TYPE_CHECKING:
    from tests.integration.conftest import Broker

pytestmark = pytest.mark.integration

NewWorker = Callable[..., WorkerProcess]


def _has_done(worker: WorkerProcess, n_records: int) -> bool:
    return worker.metric("sortline_records_total") >= n_records


def by_topic(messages: list[Message]) -> Counter[str]:
    return Counter(str(message.topic()) for message in messages)


def repeats(messages: list[Message]) -> list[str]:
    return [name for name, times in Counter(map(source, messages)).items() if times > 1]


def test_every_event_comes_out_once_in_one_place_with_its_bytes_and_its_order(
    stream: Topics, new_worker: NewWorker
) -> None:
    rows: list[tuple[bytes | None, bytes | None]] = list(stream.values(2_000))
    key, value = rows[0]
    rows[500] = (b"p-500", b"\x00\x00\x00\x00\x00\xff\xfe poison")
    rows[501] = (b"\xff\x00", b"no wire format")
    rows[502] = (b"somebody else", rows[502][1])
    rows[503] = (None, rows[503][1])
    rows[504] = (b"p-504", b"")
    rows[1_000] = (key, None)
    rows[1_001] = (key, value)
    rows[1_999] = (key, None)
    stream.produce(rows)
    worker = new_worker().start()
    messages = stream.outputs(2_000)
    assert len(messages) == 2_000
    assert repeats(messages) == []

    names, counts = stream.names, by_topic(messages)
    tombstones = [one for one in messages if one.topic() == names.categorized and one.value() is None]
    assert counts[names.dead_letters] == 5
    assert [one.key() for one in tombstones] == [key, key]
    assert counts[names.categorized] + counts[names.review] == 1_995
    assert counts[names.review] > 0
    wait_for("all to be counted", lambda: worker.metric("sortline_records_total") == 2_000)
    assert worker.metric("sortline_tombstones_total") == 2
    assert worker.metric("sortline_dead_letters_total") == 5
    assert worker.metric("sortline_categorized_total") == counts[names.categorized] - 2
    assert worker.metric("sortline_review_total") == counts[names.review]

    letters = {one.key(): one for one in messages if one.topic() == names.dead_letters}
    for at in range(500, 505):
        letter = letters[rows[at][0]]
        assert letter.value() == rows[at][1]
        assert (letter.headers() or [])[0] == ("from", b"test")
        assert dict(letter.headers() or [])["__connect.errors.exception.message"]
    _check_order(stream, messages, key)
    _check_values(stream, messages)
    assert worker.stop() == 0
    assert stream.committed(worker.settings.group_id) == 2_000


def _check_order(stream: Topics, messages: list[Message], key: bytes | None) -> None:
    """Outputs of a partition are in the order of their inputs, in the same partition."""
    for topic in (stream.names.categorized, stream.names.review):
        for partition in range(3):
            mine = [one for one in messages if (one.topic(), one.partition()) == (topic, partition)]
            places = [source(one).rsplit("/", 2) for one in mine]
            assert {int(place[1]) for place in places} <= {partition}
            offsets = [int(place[2]) for place in places]
            assert offsets == sorted(offsets)
    story = [
        one.value() is None for one in messages if one.topic() == stream.names.categorized and one.key() == key
    ]
    assert story[-3:] in ([True, False, True], [True, True])  # the product may be for review


def _check_values(stream: Topics, messages: list[Message]) -> None:
    """Outputs are what the registry's schema says, and name the input they were made from."""
    decoder = Decoder(stream.registry, load_schema("product_categorized"), PRODUCT_CATEGORIZED)
    valued = [one for one in messages if one.topic() != stream.names.dead_letters and one.value() is not None]
    decoded = decoder.decode([one.value() or b"" for one in valued])
    assert decoded.rejected == ()
    for message, row in zip(valued, decoded.batch.to_pylist(), strict=True):
        assert row["product_id"] == (message.key() or b"").decode()
        assert "/".join(str(row["source"][one]) for one in ("topic", "partition", "offset")) == source(message)
        assert (row["decision"] == "review") == (message.topic() == stream.names.review)


@pytest.mark.parametrize("static_member", [None, "sorter-1"])
def test_a_restart_resumes_from_the_commit(
    stream: Topics, new_worker: NewWorker, static_member: str | None
) -> None:
    stream.produce_products(500)
    first = new_worker(static_member=static_member).start()
    stream.outputs(500)
    assert first.stop() == 0
    stream.produce_products(300)
    second = new_worker(static_member=static_member).start()
    messages = stream.outputs(800)
    assert second.stop() == 0
    assert len(messages) == 800
    assert repeats(messages) == []


def test_workers_killed_in_the_middle_lose_nothing(stream: Topics, new_worker: NewWorker) -> None:
    stream.produce_products(30_000)
    for _ in range(3):
        worker = new_worker(slice_rows=200, slices_in_flight=4).start()
        wait_for("some work to be done", partial(_has_done, worker, 2_000))
        worker.kill()
        assert stream.committed(worker.settings.group_id) < 30_000
    last = new_worker().start()
    messages = stream.outputs(30_000)
    assert len({source(one) for one in messages}) == 30_000
    assert last.stop() == 0
    assert stream.committed(last.settings.group_id) == 30_000


def test_sigterm_under_load_finishes_what_is_in_flight_and_commits_it(
    stream: Topics, new_worker: NewWorker
) -> None:
    stream.produce_products(30_000)
    first = new_worker(slice_rows=200).start()
    wait_for("some work to be done", lambda: first.metric("sortline_records_total") >= 2_000)
    started = time.monotonic()
    assert first.stop() == 0
    assert time.monotonic() - started < first.settings.shutdown_seconds
    done = stream.committed(first.settings.group_id)
    assert 2_000 <= done < 30_000
    second = new_worker().start()
    messages = stream.outputs(30_000)
    assert repeats(messages) == []
    assert len(messages) == 30_000
    assert second.stop() == 0


def test_a_second_worker_takes_its_share_and_nothing_is_lost_or_repeated(
    stream: Topics, new_worker: NewWorker
) -> None:
    stream.produce_products(20_000)
    first = new_worker(slice_rows=100).start()
    wait_for("some work to be done", lambda: first.metric("sortline_records_total") >= 500)
    second = new_worker(slice_rows=100).start().wait_ready()
    wait_for("the first to be ready again", first.is_ready)
    stream.produce_products(3_000)
    messages = stream.outputs(23_000)
    assert first.metric("sortline_records_total") > 0
    assert second.metric("sortline_records_total") > 0
    assert first.stop() == 0
    stream.produce_products(1_000)
    messages = stream.outputs(24_000)
    assert second.stop() == 0
    assert repeats(messages) == []
    assert stream.committed(second.settings.group_id) == 24_000


def test_a_worker_in_the_middle_of_a_rebalance_that_does_not_end_stops_all_the_same(
    stream: Topics, new_worker: NewWorker
) -> None:
    first = new_worker().start().wait_ready()
    # A member that joined and then sleeps: the next rebalance waits for it for minutes.
    sleeper = Consumer(
        {
            "bootstrap.servers": stream.bootstrap,
            "group.id": first.settings.group_id,
            "partition.assignment.strategy": "roundrobin",
        }
    )
    sleeper.subscribe([stream.names.created])
    wait_for("the sleeper to have joined", lambda: sleeper.poll(0.1) is None and len(sleeper.assignment()) > 0)
    second = new_worker().start()
    wait_for("the rebalance", lambda: _problems(first) == ["the group is rebalancing"])
    for worker in (first, second):
        started = time.monotonic()
        assert worker.stop() == 0, worker.log()
        assert time.monotonic() - started < 6
    sleeper.close()


def _problems(worker: WorkerProcess) -> list[str]:
    answer = worker.get("/ready")
    return list(answer.json()["problems"]) if answer is not None else []


def test_a_worker_beyond_the_partitions_is_healthy_but_not_ready(stream: Topics, new_worker: NewWorker) -> None:
    workers = [new_worker().start() for _ in range(4)]
    wait_for("three to be ready", lambda: sum(worker.is_ready() for worker in workers) == 3)
    idle = next(worker for worker in workers if not worker.is_ready())
    ready, health = idle.get("/ready"), idle.get("/health")
    assert ready is not None
    assert ready.status_code == 503
    assert ready.json()["problems"] == ["no partition is assigned to this worker"]
    assert health is not None
    assert health.status_code == 200


def test_a_flood_of_dead_letters_halts_the_stream_with_the_rest_uncommitted(
    stream: Topics, new_worker: NewWorker
) -> None:
    stream.produce([(f"k{number}".encode(), b"broken") for number in range(600)])
    worker = new_worker(dead_letters_in_a_row=100, slice_rows=20).start()
    assert worker.exit_code() == 3
    assert "stream halted" in worker.log()
    halted_at = stream.committed(worker.settings.group_id)
    assert halted_at <= 100
    again = new_worker().start()
    messages = stream.outputs(600)
    assert by_topic(messages) == {stream.names.dead_letters: 600}
    assert again.stop() == 0


def test_a_missing_topic_is_said_in_a_sentence_and_exit_code_2(stream: Topics, new_worker: NewWorker) -> None:
    admin = AdminClient({"bootstrap.servers": stream.bootstrap})
    admin.delete_topics([stream.names.review])[stream.names.review].result(30)
    worker = new_worker().start()
    assert worker.exit_code() == 2
    assert f"topic {stream.names.review} does not exist: run `sortline topics apply`" in worker.log()


def test_an_output_too_large_for_its_topic_is_a_dead_letter_and_the_stream_goes_on(
    stream: Topics, new_worker: NewWorker
) -> None:
    worker = new_worker().start().wait_ready()
    for topic in (stream.names.categorized, stream.names.review):
        set_topic_config(stream.bootstrap, topic, "max.message.bytes", "150")
    stream.produce_products(50)
    messages = stream.outputs(50)
    assert by_topic(messages) == {stream.names.dead_letters: 50}
    assert b"does not take the output" in bytes(
        dict(messages[0].headers() or [])["__connect.errors.exception.message"]
    )
    for topic in (stream.names.categorized, stream.names.review):
        set_topic_config(stream.bootstrap, topic, "max.message.bytes", "1048588")
    stream.produce_products(50)
    messages = stream.outputs(100)
    assert by_topic(messages)[stream.names.dead_letters] == 50
    assert repeats(messages) == []
    assert worker.stop() == 0


def test_the_largest_record_of_the_input_becomes_a_dead_letter_byte_for_byte(
    stream: Topics, new_worker: NewWorker
) -> None:
    set_topic_config(stream.bootstrap, stream.names.dead_letters, "max.message.bytes", "2097152")
    large = bytes(range(256)) * 4_090
    stream.produce([(b"large", large), *stream.values(20)], **{"message.max.bytes": 2_000_000})
    worker = new_worker().start()
    messages = stream.outputs(21)
    (letter,) = [one for one in messages if one.topic() == stream.names.dead_letters]
    assert (letter.key(), letter.value()) == (b"large", large)
    assert worker.stop() == 0


def test_aborted_transactions_stay_hidden_and_markers_do_not_hold_up_the_commit(
    stream: Topics, new_worker: NewWorker
) -> None:
    producer = stream.producer(**{"transactional.id": stream.names.created})
    producer.init_transactions(30)
    for number in range(10):
        producer.begin_transaction()
        for key, value in stream.values(20):
            producer.produce(stream.names.created, key=key, value=value)
        producer.flush(30)  # so that what is aborted is in the log
        if number % 2:
            producer.abort_transaction(30)
        else:
            producer.commit_transaction(30)
    worker = new_worker().start()
    messages = stream.outputs(100)
    assert len(messages) == 100
    wait_for("no lag behind the last marker", worker.is_ready)

    def is_caught_up() -> bool:
        ready = worker.get("/ready")
        places: dict[str, Any] = ready.json()["partitions"] if ready is not None else {}
        return len(places) == 3 and all(place["done"] == place["end"] for place in places.values())

    wait_for("the last marker to be passed", is_caught_up)
    assert worker.stop() == 0
    assert stream.committed(worker.settings.group_id) > 200


@pytest.mark.parametrize("compression", ["gzip", "lz4", "zstd", "snappy"])
def test_compressed_input_is_read_and_outputs_can_be_compressed(
    stream: Topics, new_worker: NewWorker, compression: str
) -> None:
    stream.produce_products(200, **{"compression.type": compression})
    worker = new_worker(compression=compression).start()
    assert len(stream.outputs(200)) == 200
    assert worker.stop() == 0


def test_a_broker_that_dies_and_comes_back_costs_nothing_but_time(
    stream: Topics, new_worker: NewWorker, broker: Broker
) -> None:
    stream.produce_products(3_000)
    worker = new_worker(slice_rows=50).start()
    wait_for("some work to be done", lambda: worker.metric("sortline_records_total") >= 100)
    broker.kill()
    broker.start()
    stream.produce_products(500)
    messages = stream.outputs(3_500)
    assert len({source(one) for one in messages}) == 3_500
    wait_for("the worker to be ready again", worker.is_ready)
    assert worker.stop() == 0


def test_a_frozen_broker_makes_the_worker_not_ready_until_it_answers_again(
    stream: Topics, new_worker: NewWorker, broker: Broker
) -> None:
    worker = new_worker(stuck_after_seconds=2.0, session_timeout_seconds=30.0).start().wait_ready()
    broker.pause()
    wait_for("the worker to notice", lambda: not worker.is_ready(), 30)
    health = worker.get("/health")
    assert health is not None
    assert health.status_code == 200
    broker.unpause()
    worker.wait_ready()
    assert worker.stop() == 0


def test_a_worker_that_cannot_finish_in_time_leaves_by_itself(
    stream: Topics, new_worker: NewWorker, broker: Broker
) -> None:
    worker = new_worker(shutdown_seconds=2.0, session_timeout_seconds=30.0).start().wait_ready()
    stream.produce_products(10)
    stream.outputs(10)
    broker.pause()
    started = time.monotonic()
    worker.signal(signal.SIGTERM)
    assert worker.exit_code() == 4
    assert time.monotonic() - started < 6
    assert "deadline for stopping passed" in worker.log()
