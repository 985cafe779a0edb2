from __future__ import annotations

from pathlib import Path

import pytest

from compose.artifacts import fetch_artifacts, locate_artifacts
from compose.docker import DockerStack
from compose.java import find_java, parse_major_version
from compose.jvm import JvmStack, new_cluster_id, server_properties
from compose.services import Endpoints, Ports, StackRecord
from compose.stack import choose_engine, default_cache_dir, default_state_dir, find_stack, open_stack
from schemas.errors import DependencyUnavailableError, SetupError

from .conftest import AddCommand

ANSWERS = "echo 28.0.0"
NO_ENGINE = "echo 'Cannot connect to the Docker daemon' >&2; exit 1"
# What old clients do without an engine: no version, and success.
OLD_CLIENT = "echo"


def test_an_engine_that_answers_is_chosen(tmp_path: Path, add_command: AddCommand) -> None:
    add_command("docker", ANSWERS)
    add_command("mvn", "exit 0")
    assert choose_engine("auto", cache_dir=tmp_path) == "docker"


@pytest.mark.parametrize("docker", [NO_ENGINE, OLD_CLIENT])
def test_java_is_chosen_where_no_engine_answers(tmp_path: Path, add_command: AddCommand, docker: str) -> None:
    add_command("docker", docker)
    add_command("mvn", "exit 0")
    assert choose_engine("auto", cache_dir=tmp_path) == "jvm"


def test_without_docker_and_maven_one_sentence_says_what_to_install(
    tmp_path: Path, add_command: AddCommand
) -> None:
    del add_command  # its empty PATH is what matters
    with pytest.raises(SetupError, match=r"start Docker .* or install Maven"):
        choose_engine("auto", cache_dir=tmp_path)


def test_maven_is_not_needed_once_the_jars_are_here(tmp_path: Path, add_command: AddCommand) -> None:
    del add_command
    artifacts = locate_artifacts(tmp_path)
    artifacts.kafka.mkdir(parents=True)
    artifacts.registry.mkdir()
    (artifacts.registry / "quarkus-run.jar").touch()
    assert choose_engine("auto", cache_dir=tmp_path) == "jvm"
    assert fetch_artifacts(tmp_path, print) == artifacts


def test_docker_asked_for_and_not_there_is_said_so(tmp_path: Path, add_command: AddCommand) -> None:
    add_command("docker", NO_ENGINE)
    with pytest.raises(SetupError, match="no Docker engine answers"):
        choose_engine("docker", cache_dir=tmp_path)


def test_a_stack_that_is_up_is_opened_as_it_was_started(tmp_path: Path, add_command: AddCommand) -> None:
    add_command("docker", ANSWERS)
    ports = Ports(kafka=1111, registry=2222)
    StackRecord(engine="jvm", ports=ports).write(tmp_path)
    for stack in (open_stack(state_dir=tmp_path), find_stack(state_dir=tmp_path)):
        assert isinstance(stack, JvmStack)
        assert stack.endpoints == Endpoints.on(ports)


def test_another_stack_over_one_that_is_up_is_refused(tmp_path: Path, add_command: AddCommand) -> None:
    add_command("docker", ANSWERS)
    StackRecord(engine="jvm", ports=Ports(kafka=1111, registry=2222)).write(tmp_path)
    with pytest.raises(SetupError, match="run `sortline stack down` first"):
        open_stack("docker", state_dir=tmp_path)
    with pytest.raises(SetupError, match="on ports 1111 and 2222"):
        open_stack(state_dir=tmp_path, ports=Ports())


def test_no_record_or_a_damaged_one_is_no_stack(tmp_path: Path) -> None:
    assert find_stack(state_dir=tmp_path) is None
    (tmp_path / "stack.json").write_text('{"engine": "jvm"', encoding="utf-8")
    assert find_stack(state_dir=tmp_path) is None


def test_a_stack_with_docker_is_opened_without_starting_anything(tmp_path: Path, add_command: AddCommand) -> None:
    add_command("docker", ANSWERS)
    stack = open_stack("docker", state_dir=tmp_path / "state", ports=Ports(kafka=1111, registry=2222))
    assert isinstance(stack, DockerStack)
    assert stack.endpoints.bootstrap == "127.0.0.1:1111"
    assert stack.endpoints.registry_url == "http://127.0.0.1:2222/apis/ccompat/v7"
    assert not (tmp_path / "state").exists()


def test_folders_follow_the_xdg_rule(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("XDG_CACHE_HOME", "relative/is/to/be/ignored")
    assert default_state_dir() == tmp_path / "elsewhere" / "sortline" / "stack"
    assert default_cache_dir() == tmp_path / ".cache" / "sortline"


def test_a_java_that_is_too_old_is_passed_over(add_command: AddCommand) -> None:
    old = add_command("java", """echo 'openjdk version "17.0.15" 2025-04-15' >&2""")
    assert find_java() != old
    new = add_command("java", """echo 'openjdk version "21.0.2" 2024-01-16' >&2""")
    assert find_java() == new


@pytest.mark.parametrize(
    ("printed", "version"),
    [
        ('openjdk version "17.0.15" 2025-04-15', 17),
        ('java version "1.8.0_402"', 8),
        ('openjdk version "25" 2025-09-16', 25),
        ("command not found", None),
    ],
)
def test_the_major_version_is_read_from_what_java_prints(printed: str, version: int | None) -> None:
    assert parse_major_version(printed) == version


def test_maven_that_fails_is_tried_again_and_then_quoted(tmp_path: Path, add_command: AddCommand) -> None:
    add_command("java", """echo 'openjdk version "21" 2024' >&2""")
    add_command("mvn", f"echo tried >>{tmp_path}/tries; echo '[ERROR] Could not resolve kafka_2.13'; exit 1")
    with pytest.raises(DependencyUnavailableError, match=r"Could not resolve kafka_2\.13"):
        fetch_artifacts(tmp_path / "cache", lambda _: None)
    assert (tmp_path / "tries").read_text(encoding="utf-8").split() == ["tried", "tried"]
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_cluster_id_is_what_kafkas_storage_tool_takes() -> None:
    identities = {new_cluster_id() for _ in range(500)}
    assert len(identities) == 500
    assert all(len(identity) == 22 and not identity.startswith("-") for identity in identities)


def test_the_broker_listens_on_this_machine_only(tmp_path: Path) -> None:
    record = StackRecord(engine="jvm", ports=Ports(kafka=1111), controller_port=3333)
    properties = server_properties(record, tmp_path)
    assert properties["listeners"] == "CLIENT://127.0.0.1:1111,CONTROLLER://127.0.0.1:3333"
    assert properties["advertised.listeners"] == "CLIENT://127.0.0.1:1111"
