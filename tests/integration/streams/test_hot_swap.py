"""Models are swapped while workers run, on a real Kafka and with models in a real MLflow store."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest
from confluent_kafka import Message

from models.bundle import ARRAYS, read_manifest
from models.registry import log_bundle, set_alias
from schemas import columns
from schemas.avro_files import load_schema
from schemas.decoding import Decoder
from sortline.models_command.announcing import announce_champion
from tests.integration.streams.conftest import Topics, WorkerProcess, wait_for
from tests.integration.streams.flow import Flow, check_once, partitions_of
from tests.tiny_model import build_tiny_bundle

pytestmark = pytest.mark.integration

NewWorker = Callable[..., WorkerProcess]

NAME = "tiny"
GOOD, BETTER, DAMAGED = 1, 2, 3
NEVER_SECONDS = 3_600.0


@dataclass
class Models:
    """Three versions of a model in a store of MLflow; the last one was damaged there."""

    tracking_uri: str
    content: dict[int, str] = field(default_factory=dict)

    def let_champion_be(self, number: int) -> None:
        set_alias(NAME, "champion", number, tracking_uri=self.tracking_uri)

    def promote(self, number: int, stream: Topics, registry_url: str) -> None:
        self.let_champion_be(number)
        problem = announce_champion(
            NAME,
            number,
            bootstrap=stream.bootstrap,
            registry_url=registry_url,
            topic=stream.names.announced,
        )
        assert problem is None


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    import mlflow

    folder = tmp_path_factory.mktemp("models")
    models = Models(f"sqlite:///{folder / 'mlflow.db'}")
    client = mlflow.MlflowClient(models.tracking_uri)
    experiment = client.create_experiment("tiny", artifact_location=(folder / "artifacts").as_uri())
    for number, threshold in ((GOOD, 0.9), (BETTER, 0.6), (DAMAGED, 0.3)):
        bundle = build_tiny_bundle(folder / str(number), threshold=threshold)
        run_id = client.create_run(experiment).info.run_id
        logged = log_bundle(bundle, tracking_uri=models.tracking_uri, run_id=run_id, registered_name=NAME)
        assert logged.registered_version == number
        models.content[number] = read_manifest(bundle).version
    newest = max((folder / "artifacts").rglob(ARRAYS), key=lambda path: path.stat().st_mtime_ns)
    newest.write_bytes(newest.read_bytes()[:-1] + b"?")
    return models


@pytest.fixture
def new_follower(new_worker: NewWorker, models: Models) -> NewWorker:
    """Makes workers that follow the champion and deliver exactly once; they look only when they are told."""
    return partial(
        new_worker,
        model=f"models:/{NAME}@champion",
        tracking_uri=models.tracking_uri,
        delivery="exactly-once",
        model_poll_seconds=NEVER_SECONDS,
        slice_rows=100,
    )


def rows_of(stream: Topics, messages: Sequence[Message], stem: str, schema: Any) -> list[dict[str, Any]]:
    decoder = Decoder(stream.registry, load_schema(stem), schema)
    decoded = decoder.decode([one.value() or b"" for one in messages])
    assert not decoded.rejected
    rows: list[dict[str, Any]] = decoded.batch.to_pylist()
    return rows


def swaps_of(stream: Topics, n: int) -> list[dict[str, Any]]:
    messages = stream.read(stream.names.swaps, until=lambda found: len(found) >= n)
    return rows_of(stream, messages, "model_swap", columns.MODEL_SWAP)


def check_versions(stream: Topics, events: Sequence[Message], swaps: Sequence[dict[str, Any]]) -> set[str]:
    """Compare the version in each event with what the swap records tell of its offset; return all versions."""
    of_partition = defaultdict(list)
    for swap in swaps:
        of_partition[swap["partition"]].append((swap["first_offset"], swap["model_version"]))
    versions: set[str] = set()
    for row in rows_of(stream, events, "product_categorized", columns.PRODUCT_CATEGORIZED):
        source = row["source"]
        told = [one for first, one in of_partition[source["partition"]] if first <= source["offset"]]
        assert told, f"no record tells of {source}"
        assert told[-1] == row["model_version"], source
        versions.add(row["model_version"])
    return versions


def has_swapped(worker: WorkerProcess, times: int) -> bool:
    return worker.metric("sortline_model_swaps_total") >= times


def has_done(worker: WorkerProcess, n_records: float) -> bool:
    return worker.metric("sortline_records_total") >= n_records


def go_on(worker: WorkerProcess, n_records: int = 300) -> None:
    enough = worker.metric("sortline_records_total") + n_records
    wait_for("the worker to go on", partial(has_done, worker, enough))


def test_models_are_swapped_under_load_at_once_and_every_event_names_the_one_that_the_records_tell_of(
    stream: Topics, new_follower: NewWorker, models: Models, registry_url: str
) -> None:
    models.let_champion_be(GOOD)
    worker = new_follower().start().wait_ready()
    with Flow(stream, rate=1_500) as flow:
        go_on(worker)
        for n_swaps, number in enumerate((BETTER, GOOD), start=1):
            models.promote(number, stream, registry_url)
            wait_for("the swap", partial(has_swapped, worker, n_swaps))
            go_on(worker)
        models.promote(DAMAGED, stream, registry_url)
        wait_for("the refusal", lambda: worker.metric("sortline_model_failures_total") == 1)
        assert worker.is_ready()
        go_on(worker)
        models.promote(BETTER, stream, registry_url)
        wait_for("the last swap", partial(has_swapped, worker, 3))
        go_on(worker)
    events = check_once(stream, flow.n_events)
    swaps = swaps_of(stream, 12)
    assert len(swaps) == 4 * 3, "each of three partitions at the beginning, and at three swaps"
    assert check_versions(stream, events, swaps) == {models.content[GOOD], models.content[BETTER]}
    assert [one["registered_version"] for one in swaps if one["partition"] == 0] == [GOOD, BETTER, GOOD, BETTER]
    log = worker.log()
    assert log.count("model swapped") == 3
    assert log.count("model refused, the old one stays") == 1
    assert log.count("partitions assigned") == 1, "nobody had to join the group again"
    assert worker.stop() == 0


def test_what_a_worker_killed_during_a_swap_left_behind_is_done_again_by_its_heir_and_told_as_the_heir_s(
    stream: Topics, new_follower: NewWorker, models: Models, registry_url: str
) -> None:
    """One worker looks every second, and commits nothing by itself. The other one is not told of the new model."""
    models.let_champion_be(GOOD)
    first = new_follower(model_poll_seconds=1.0, commit_interval_seconds=60.0).start()
    heir = new_follower().start()
    for worker in (first, heir):
        worker.wait_ready()
    wait_for("partitions for both", lambda: partitions_of(first) and partitions_of(heir))
    with Flow(stream, rate=1_000) as flow:
        go_on(first)
        models.let_champion_be(BETTER)
        wait_for("the swap", partial(has_swapped, first, 1))
        go_on(first)
        first.kill()
        wait_for("the heir to have all", lambda: len(partitions_of(heir)) == 3)
        go_on(heir)
        models.promote(BETTER, stream, registry_url)
        wait_for("the heir's swap", partial(has_swapped, heir, 1))
        go_on(heir)
    events = check_once(stream, flow.n_events)
    swaps = swaps_of(stream, 6)
    assert check_versions(stream, events, swaps) == {models.content[GOOD], models.content[BETTER]}
    by_first = [one for one in swaps if one["worker"].endswith(f"-{first.process and first.process.pid}")]
    assert [one for one in by_first if one["model_version"] == models.content[BETTER]] == []
    assert heir.stop() == 0
