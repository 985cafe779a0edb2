"""The trigger and the steps on a real Kafka, registry and MLflow store."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest

from models.registry import CHAMPION, find_alias, set_alias
from schemas.errors import DependencyUnavailableError, SetupError
from schemas.topics import TopicNames
from tests.integration.training.catalogue_topic import fill
from tests.unit.training.made_catalog import made_products
from training.progress import SilentProgress
from training.promotion import Promotion, promote
from training.retrain import Action
from training.retraining import Retraining, RetrainRequest, Sources, retrain
from training.row_digests import LabelChanges

pytestmark = pytest.mark.integration

_T = TypeVar("_T")
STEPS = ["look for changes", "take a snapshot", "count the labels", "fit and evaluate", "register"]


class Steps:
    """Runs steps and remembers their names; the one called `broken` fails, before it is run or after."""

    def __init__(self, broken: str = "", *, after: bool = False) -> None:
        self.names: list[str] = []
        self._broken = broken
        self._after = after

    def __call__(self, name: str, step: Callable[[], _T]) -> _T:
        self.names.append(name)
        if name == self._broken and not self._after:
            raise DependencyUnavailableError(f"{name} does not answer")
        result = step()
        if name == self._broken:
            raise DependencyUnavailableError(f"the answer of {name} was lost")
        return result


def test_only_labels_that_the_champion_does_not_know_lead_to_a_training_and_failures_change_nothing(
    bootstrap: str, registry_url: str, topics: TopicNames, tmp_path: Path
) -> None:
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    sources = Sources(bootstrap=bootstrap, registry_url=registry_url, topic=topics.catalog, tracking_uri=uri)
    request = RetrainRequest(
        to=tmp_path / "bundle", only_if_changed=True, profile="classic", seed=0, min_products=10
    )

    def once(wanted: RetrainRequest = request, run: Steps | None = None, *, promotes: bool = False) -> Retraining:
        return retrain(wanted, sources, SilentProgress(), promote=gate if promotes else None, run=run or Steps())

    def gate(name: str, version: int) -> Promotion:
        return promote(name, version, tracking_uri=uri, progress=SilentProgress())

    def store() -> tuple[object, list[tuple[object, object]]]:
        from mlflow import MlflowClient

        versions = MlflowClient(tracking_uri=uri).search_model_versions("name = 'sortline'")
        return find_alias("sortline", CHAMPION, uri), sorted((one.version, one.run_id) for one in versions)

    fill(bootstrap, registry_url, topics.catalog, made_products(200))
    first = once()
    assert first.decision.action is Action.TRAIN
    assert first.registered is not None
    assert first.registered.version == 1
    assert once().decision.why == "version 1 was trained on exactly these products"
    set_alias("sortline", CHAMPION, 1, tracking_uri=uri)

    steps = Steps()
    assert once(run=steps).decision.action is Action.NOTHING
    assert steps.names == STEPS[:1], "no record has come, so none was to be read"

    changed = made_products(210).to_pylist()
    changed[0]["title"] += " again"
    changed[1]["category_path"] = ["Garden", "mower"]
    newer = type(made_products(1)).from_pylist([*changed[:2], *changed[200:]], made_products(1).schema)
    fill(bootstrap, registry_url, topics.catalog, newer, removed=("p00007",))
    enough = once(replace(request, min_new=14))
    assert enough.decision.action is Action.NOTHING
    assert enough.count is not None
    assert enough.count.changes == LabelChanges(new=10, changed=2, removed=1)

    before, bundle = store(), {file: file.read_bytes() for file in request.to.iterdir()}
    for step in STEPS[:-1]:
        with pytest.raises(DependencyUnavailableError, match=step):
            once(run=Steps(step))
        assert store() == before
    assert {file: file.read_bytes() for file in request.to.iterdir()} == bundle
    with pytest.raises(DependencyUnavailableError, match="register"):
        once(replace(request, to=tmp_path / "second"), run=Steps("register"))
    assert store() == before
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("mine")
    with pytest.raises(SetupError, match="mine"):
        once(replace(request, to=tmp_path / "mine"))
    assert store() == before
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "mine"
    with pytest.raises(DependencyUnavailableError, match="register"):
        once(replace(request, to=tmp_path / "second"), run=Steps("register", after=True))
    again = once(replace(request, only_if_changed=False))
    assert again.registered is not None
    assert (again.registered.version, again.registered.is_new) == (2, False)
    champion, versions = store()
    assert champion == before[0]
    assert len(versions) == 2

    judged = once(promotes=True)
    assert judged.decision.action is Action.JUDGE, "trained, but never shown to the gate"
    assert judged.trained is None
    assert judged.promotion is not None
    assert judged.promotion.outcome == "refused", "a model of 200 products publishes nothing"
    assert once(promotes=True).decision.why == "version 2 was trained on exactly these products"
    assert store()[0] == champion
