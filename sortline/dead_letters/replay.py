"""Sends dead letters back to the topic that they come from, each at most once.

A letter and its mark are written in one Kafka transaction: readers see both or neither, wherever this process
ends. There is one transactional id for each dead-letter topic. Who takes it ends what another replay has begun
(fencing), and only then reads the marks: so they are complete, and two replays cannot send the same letter.
"""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, cast

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from schemas.errors import DependencyUnavailableError, SortlineError
from schemas.topics import TopicNames
from sortline.broker import topic_partitions, unavailable
from sortline.dead_letters.letters import Letter, Place, State, replayed_headers, state_of
from sortline.dead_letters.reading import mark_record, read_letters, read_marks

#: Letters and bytes of one transaction. While it is open, workers wait at its first record.
LETTERS_AT_ONCE: Final = 500
_BYTES_AT_ONCE: Final = 8 << 20
#: A replay that was killed holds the workers up no longer than this.
_TRANSACTION_SECONDS: Final = 15.0
_ANSWER_SECONDS: Final = 30.0
_ATTEMPTS: Final = 3
#: What a broker says of a record that it will never take.
_REFUSALS: Final = frozenset(
    {
        KafkaError.MSG_SIZE_TOO_LARGE,
        KafkaError.INVALID_MSG_SIZE,
        KafkaError.INVALID_MSG,
        KafkaError.INVALID_RECORD,
        KafkaError.INVALID_TIMESTAMP,
    }
)


@dataclass(slots=True, kw_only=True)
class ReplayReport:
    """What was done with the letters that were chosen.

    Attributes:
        n_sent: sent and marked, in transactions that are committed.
        skipped: how many were left alone, by their state at that moment.
        refused: letters that the broker does not take, with its words.
    """

    n_sent: int = 0
    skipped: defaultdict[State, int] = field(default_factory=lambda: defaultdict(int))
    refused: list[tuple[str, str]] = field(default_factory=list)


def replay_letters(
    *,
    bootstrap: str,
    names: TopicNames,
    places: Collection[Place],
    max_attempts: int,
    letters_at_once: int = LETTERS_AT_ONCE,
    on_produced: Callable[[], None] = lambda: None,
) -> ReplayReport:
    """Send the letters at these places to `names.created`, and mark them; blocks until all is committed.

    Key, value and headers are the original's, see `replayed_headers`; the timestamp is the present. The partition
    is that of the original, or the key's if the topic does not have it any more: so the letters of a key stay in
    their order. Letters that are not waiting (`state_of`) are left alone. `on_produced` is called after each
    letter that was handed to the producer.

    Raises DependencyUnavailableError if Kafka does not answer, SortlineError if another replay took over. What was
    committed by then is sent and marked, the rest is neither: run it again.
    """
    chosen = frozenset(places)
    report = ReplayReport()
    if not chosen:
        return report
    session = _Session(bootstrap, names, report, on_produced)
    marks = read_marks(bootstrap, names)
    batch: list[Letter] = []
    n_bytes = 0
    for letter in _chosen(bootstrap, names, chosen):
        state = state_of(letter, marks, created=names.created, max_attempts=max_attempts)
        if state != "waiting":
            report.skipped[state] += 1
            continue
        batch.append(letter)
        n_bytes += len(letter.record.value or b"")
        if len(batch) >= letters_at_once or n_bytes >= _BYTES_AT_ONCE:
            session.send(batch)
            batch, n_bytes = [], 0
    session.send(batch)
    return report


def _chosen(bootstrap: str, names: TopicNames, chosen: frozenset[Place]) -> Iterator[Letter]:
    wanted: dict[int, tuple[int, int]] = {}
    for partition, offset in chosen:
        first, last = wanted.get(partition, (offset, offset))
        wanted[partition] = (min(first, offset), max(last, offset))
    return (letter for letter in read_letters(bootstrap, names, wanted=wanted) if letter.place in chosen)


class _Session:
    """A transactional producer, from the moment on when every earlier replay is over."""

    def __init__(
        self, bootstrap: str, names: TopicNames, report: ReplayReport, on_produced: Callable[[], None]
    ) -> None:
        self._bootstrap = bootstrap
        self._names = names
        self._report = report
        self._on_produced = on_produced
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "client.id": "sortline-replay",
                "transactional.id": f"sortline-replay-{names.dead_letters}",
                "transaction.timeout.ms": int(_TRANSACTION_SECONDS * 1000),
                "compression.type": "lz4",
                "partitioner": "murmur2_random",
                # The broker decides what is too large, letter by letter: a batch must not be refused for its sum.
                "message.max.bytes": 1_000_000_000,
                "batch.size": 65_536,
                "linger.ms": 5,
            },
            logger=_quiet_logger(),
        )
        partitions = topic_partitions(self._producer, [names.created, names.replayed], bootstrap=bootstrap)
        self._partitions = frozenset(partitions[names.created])
        try:
            self._producer.init_transactions(_ANSWER_SECONDS)
        except KafkaException as error:
            raise unavailable(bootstrap, error) from error

    def send(self, letters: list[Letter]) -> None:
        """Send and mark the letters in a transaction; those that the broker refuses are found by halves."""
        if not letters:
            return
        try:
            refusal = self._attempt(letters)
        except KafkaException as error:
            raise self._explained(error) from error
        except SystemError as error:
            # The client raises a fatal error between two callbacks, and Python finds it in the next one.
            if isinstance(error.__cause__, KafkaException):
                raise self._explained(error.__cause__) from error
            raise
        if refusal is None:
            self._report.n_sent += len(letters)
        elif len(letters) == 1:
            self._report.refused.append((letters[0].name, refusal))
        else:
            half = len(letters) // 2
            self.send(letters[:half])
            self.send(letters[half:])

    def _attempt(self, letters: list[Letter]) -> str | None:
        """Commit all the letters, or none; return the words of the broker if it will never take one of them."""
        failures: list[KafkaError] = []
        for _ in range(_ATTEMPTS):
            failures = self._transaction(letters)
            if not failures:
                return None
            refusal = next((error for error in failures if error.code() in _REFUSALS), None)
            if refusal is not None:
                return refusal.str()
            # After a refusal the client finds a gap in its sequence numbers, and needs one more aborted
            # transaction to get a new epoch, which the broker does not give if another replay took over. A new
            # producer would get one, and would not know of the marks that the other replay made.
        raise KafkaException(failures[0])

    def _transaction(self, letters: list[Letter]) -> list[KafkaError]:
        """Commit all the letters, or abort; return what stood in the way."""
        failures: list[KafkaError] = []
        self._producer.begin_transaction()
        for letter in letters:
            self._produce(letter, failures)
            self._on_produced()
        n_waiting = self._producer.flush(_ANSWER_SECONDS)
        if not failures and not n_waiting:
            self._commit()
            return []
        self._producer.abort_transaction(_ANSWER_SECONDS)
        return failures or [KafkaError(KafkaError._TIMED_OUT)]

    def _produce(self, letter: Letter, failures: list[KafkaError]) -> None:
        def delivered(error: KafkaError | None, _: Message) -> None:
            if error is not None:
                failures.append(error)

        record, names = letter.record, self._names
        to: dict[str, Any] = {}
        if letter.failure.partition in self._partitions:
            to["partition"] = letter.failure.partition
        key, value = mark_record(letter, now_ms=time.time_ns() // 1_000_000)
        try:
            self._producer.produce(
                names.created,
                record.value,
                record.key,
                headers=cast("Any", replayed_headers(letter)),  # null values are fine, though not in the types
                on_delivery=delivered,
                **to,
            )
            self._producer.produce(names.replayed, value, key, on_delivery=delivered)
        except KafkaException as error:
            failures.append(_cause(error))
        self._producer.poll(0)

    def _commit(self) -> None:
        end = time.monotonic() + _ANSWER_SECONDS
        while True:
            try:
                self._producer.commit_transaction(_ANSWER_SECONDS)
            except KafkaException as error:
                # Only asking again tells what became of it.
                if _cause(error).retriable() and time.monotonic() < end:
                    continue
                raise
            return

    def _explained(self, error: KafkaException) -> SortlineError:
        cause = _cause(error)
        sent = f"{self._report.n_sent:,} letters were replayed and marked before"
        if cause.code() in (KafkaError._FENCED, KafkaError.INVALID_PRODUCER_EPOCH, KafkaError.PRODUCER_FENCED):
            return SortlineError(f"another replay of {self._names.dead_letters} took over; {sent}")
        return DependencyUnavailableError(
            f"Kafka at {self._bootstrap} does not take the letters ({cause.str()}): run it again, {sent}"
        )


def _quiet_logger() -> logging.Logger:
    """Return a logger that drops librdkafka's own lines: they would only repeat our sentence on stderr."""
    logger = logging.getLogger("librdkafka")
    logger.setLevel(logging.CRITICAL + 1)
    return logger


def _cause(error: KafkaException) -> KafkaError:
    return cast("KafkaError", error.args[0])  # the type also allows text; the client gives the error
