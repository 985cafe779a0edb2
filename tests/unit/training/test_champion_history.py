from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from schemas.errors import DependencyUnavailableError, SetupError
from training.champion_history import (
    HISTORY,
    LOCK_SECONDS,
    LOCK_SUFFIX,
    Standing,
    move_champion,
    promotion_lock,
    read_standing,
)


@dataclass
class Row:
    """What MLflow tells of a version or a registered model."""

    name: str
    version: str = ""
    run_id: str = ""
    creation_timestamp: int = 0
    tags: dict[str, str] = field(default_factory=dict)
    aliases: Any = field(default_factory=dict)


class Page(list[Row]):
    token = None


class FakeClient:
    """The few calls of MlflowClient, over dictionaries; the real one is in the integration tests."""

    def __init__(self, versions: int) -> None:
        self.models = {"m": Row("m")}
        self.versions = set(range(1, versions + 1))
        self.is_broken = False

    def get_registered_model(self, name: str) -> Row:
        self._require(name)
        return self.models[name]

    def search_model_versions(self, filter_string: str, page_token: str | None = None) -> Page:
        assert (filter_string, page_token) == ("name = 'm'", None)
        return Page(Row("m", version=str(number)) for number in self.versions)

    def set_registered_model_tag(self, name: str, key: str, value: str) -> None:
        self.models[name].tags[key] = value

    def set_registered_model_alias(self, name: str, alias: str, version: str) -> None:
        if self.is_broken:
            raise ConnectionError("gone")
        self.models[name].aliases[alias] = version

    def create_registered_model(self, name: str, tags: dict[str, str], description: str) -> None:
        if name in self.models:
            self._raise("RESOURCE_ALREADY_EXISTS")
        self.models[name] = Row(name, tags=tags)

    def rename_registered_model(self, name: str, new_name: str) -> None:
        self._require(name)
        self.models[new_name] = self.models.pop(name)

    def delete_registered_model(self, name: str) -> None:
        self._require(name)
        del self.models[name]

    def _require(self, name: str) -> None:
        if name not in self.models:
            self._raise("RESOURCE_DOES_NOT_EXIST")

    def _raise(self, code: str) -> None:
        from mlflow.exceptions import MlflowException
        from mlflow.protos.databricks_pb2 import ErrorCode

        raise MlflowException(code, ErrorCode.Value(code))


def promoted(client: FakeClient, *versions: int) -> Standing:
    """What stands after these promotions."""
    for version in versions:
        now = read_standing(client, "m")
        former = now.former if now.champion is None else (*now.former, now.champion)
        move_champion(client, "m", version, former=former)
    return read_standing(client, "m")


def rolled_back(client: FakeClient) -> Standing:
    *former, target = read_standing(client, "m").former
    move_champion(client, "m", target, former=former)
    return read_standing(client, "m")


def test_a_promotion_is_a_push_and_a_rollback_a_pop() -> None:
    client = FakeClient(versions=3)
    assert read_standing(client, "m") == Standing(champion=None, former=())
    assert promoted(client, 1, 3, 2) == Standing(champion=2, former=(1, 3))
    assert rolled_back(client) == Standing(champion=3, former=(1,))
    assert rolled_back(client) == Standing(champion=1, former=())
    assert promoted(client, 2) == Standing(champion=2, former=(1,))


def test_one_that_was_champion_twice_is_gone_back_to_twice() -> None:
    client = FakeClient(versions=2)
    assert promoted(client, 1, 2, 1) == Standing(champion=1, former=(1, 2))
    assert rolled_back(client) == Standing(champion=2, former=(1,))
    assert rolled_back(client) == Standing(champion=1, former=())


def test_a_promotion_or_rollback_that_broke_off_leaves_what_was_before() -> None:
    client = FakeClient(versions=3)
    before = promoted(client, 1, 2)
    client.is_broken = True
    with pytest.raises(ConnectionError):
        promoted(client, 3)
    assert read_standing(client, "m") == before
    with pytest.raises(ConnectionError):
        rolled_back(client)
    assert read_standing(client, "m") == before


def test_a_champion_set_by_hand_comes_after_those_that_are_known() -> None:
    client = FakeClient(versions=3)
    promoted(client, 1, 2)
    client.set_registered_model_alias("m", "champion", "3")
    assert read_standing(client, "m") == Standing(champion=3, former=(1, 2))


def test_versions_that_were_deleted_are_passed_over() -> None:
    client = FakeClient(versions=3)
    promoted(client, 1, 2, 3)
    client.versions.discard(2)
    assert read_standing(client, "m").former == (1,)
    client.versions.discard(3)
    del client.models["m"].aliases["champion"]  # as MLflow does
    assert read_standing(client, "m") == Standing(champion=None, former=(1,))


def test_a_tag_that_somebody_spoilt_is_named() -> None:
    client = FakeClient(versions=1)
    client.set_registered_model_tag("m", HISTORY, "one")
    with pytest.raises(SetupError, match=HISTORY):
        read_standing(client, "m")


def test_the_lock_names_its_holder_and_is_taken_away_when_its_time_is_over() -> None:
    client = FakeClient(versions=1)
    with promotion_lock(client, "m", now=lambda: 1_000.0):
        with (
            pytest.raises(DependencyUnavailableError, match=r"process .* if that process was killed, in 120 s"),
            promotion_lock(client, "m", now=lambda: 1_000.0),
        ):
            pass
        with promotion_lock(client, "m", now=lambda: 1_000.1 + LOCK_SECONDS):
            pass
    assert set(client.models) == {"m"}


def test_a_holder_that_lost_the_lock_leaves_it_to_the_next() -> None:
    client = FakeClient(versions=1)
    late = promotion_lock(client, "m", now=lambda: 0.0)
    late.__enter__()
    with promotion_lock(client, "m", now=lambda: LOCK_SECONDS + 1):
        late.__exit__(None, None, None)
        assert f"m{LOCK_SUFFIX}" in client.models
    assert set(client.models) == {"m"}
