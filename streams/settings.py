"""What a worker needs to know, resolved once and handed down."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from schemas.topics import TopicNames
from streams.delivery import Compression, DeliveryMode
from streams.dialects import DEFAULT_DIALECT, Dialect


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSettings:
    """The settings of a worker; the defaults run on a laptop.

    Attributes:
        model: folder of a bundle, or `models:/name@alias` in MLflow.
        bootstrap: Kafka, host:port, separated by commas.
        registry_url: schema registry with Confluent's API.
        topics: the names of the topics.
        group_id: consumer group; also the `connector.name` of dead letters and part of the outputs' `ce_source`.
        static_member: `group.instance.id`: a worker that comes back in time keeps its partitions.
        tracking_uri: MLflow's store, for a model from there.
        model_poll_seconds: how often to look what the alias means; an announcement makes it at once.
        delivery: `exactly-once` writes outputs and commits in transactions; `at-least-once` repeats after a crash.
        web_host: where /health, /ready and /metrics are served.
        web_port: of the same.
        commit_interval_seconds: how often the acknowledged prefix is committed; after a crash at most so much is
            done again.
        shutdown_seconds: after SIGTERM, how long to finish what is in flight; then the process leaves, and what is
            not acknowledged is left uncommitted.
        session_timeout_seconds: after so much silence the group gives the partitions to others.
        startup_seconds: how long to wait for Kafka and the registry at the start.
        slice_rows: most records of one partition that are handled together.
        slices_in_flight: most slices that are fetched and not yet finished.
        fetch_wait_seconds: how long a fetch without data may stay at the broker; data ends it.
        max_fetch_bytes: most bytes of one partition in one fetch; a larger record still comes, alone.
        max_batch_bytes: most bytes of one batch of outputs; lowered to what the topics take.
        compression: of the outputs; lz4 and zstd need their library.
        dead_letter_dialect: whose headers tell what is wrong with a dead letter: those of Kafka Connect, Kafka
            Streams or Spring Kafka.
        dead_letters_in_a_row: the stream stops beyond so many.
        dead_letters_share: the stream stops if more than this share of the last `dead_letters_window` records are
            dead letters; 1 is never exceeded.
        dead_letters_window: how many records the share is of; a tenth of them must have been seen.
        stuck_after_seconds: a partition with work to do and no progress for so long makes the worker not ready.
        log_format: `text`, key=value for people, or `json`, an object a line.
        log_level: of our own lines; libraries are heard from warning on.
    """

    model: str
    bootstrap: str = "127.0.0.1:9092"
    registry_url: str = "http://127.0.0.1:8081/apis/ccompat/v7"
    topics: TopicNames = field(default_factory=TopicNames)
    group_id: str = "sortline"
    static_member: str | None = None
    tracking_uri: str | None = None
    model_poll_seconds: float = 30.0
    delivery: DeliveryMode = "exactly-once"
    web_host: str = "127.0.0.1"
    web_port: int = 6066
    commit_interval_seconds: float = 0.1
    shutdown_seconds: float = 10.0
    session_timeout_seconds: float = 8.0
    startup_seconds: float = 60.0
    slice_rows: int = 2_000
    slices_in_flight: int = 12
    fetch_wait_seconds: float = 0.1
    max_fetch_bytes: int = 1 << 19
    max_batch_bytes: int = 900_000
    compression: Compression | None = None
    dead_letter_dialect: Dialect = DEFAULT_DIALECT
    dead_letters_in_a_row: int = 1_000
    dead_letters_share: float = 0.5
    dead_letters_window: int = 10_000
    stuck_after_seconds: float = 30.0
    log_format: Literal["text", "json"] = "text"
    log_level: str = "INFO"
