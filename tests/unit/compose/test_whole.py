from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from compose.pip_settings import certificates, parse_pip_config
from compose.plugins import plugin_arguments
from compose.recipes import FOLDER
from compose.whole import BUILT, COMPOSE_FILE, RECIPES, ROOT, SECRETS, read_env, write_env
from schemas.errors import SetupError

from .conftest import AddCommand

SERVICES = yaml.safe_load(COMPOSE_FILE.read_text(encoding="utf-8"))["services"]
DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text(encoding="utf-8")


def test_nothing_of_the_whole_stack_is_published_beyond_this_machine() -> None:
    published = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)


@pytest.mark.parametrize("service", [*BUILT, "bucket", "topics"])
def test_what_runs_our_images_can_write_nowhere_but_to_tmp_and_has_no_capabilities(service: str) -> None:
    fields = SERVICES[service]
    assert fields["read_only"] is True
    assert fields["tmpfs"] == ["/tmp:mode=1777"]
    assert fields["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in fields["security_opt"]


def test_without_an_env_file_compose_asks_for_the_official_images() -> None:
    text = COMPOSE_FILE.read_text(encoding="utf-8") + (ROOT / "compose" / "compose.yaml").read_text(
        encoding="utf-8"
    )
    defaults = dict(re.findall(r"\$\{(SORTLINE_\w+):-([^}]+)\}", text))
    assert {name: defaults[name] for name in RECIPES} == {
        name: recipe.official for name, recipe in RECIPES.items()
    }
    assert f"ARG BASE={RECIPES['SORTLINE_BASE'].official}\n" in DOCKERFILE


def test_no_password_has_a_default() -> None:
    text = COMPOSE_FILE.read_text(encoding="utf-8")
    for name in SECRETS:
        assert f"${{{name}:?" in text
        assert f"${{{name}:-" not in text


def test_every_official_image_has_a_recipe_for_machines_that_cannot_pull() -> None:
    for recipe in RECIPES.values():
        assert (FOLDER / recipe.name).is_dir()
        assert recipe.local.startswith(f"sortline/{recipe.name}:{recipe.official.rpartition(':')[2]}-")


def test_what_images_leave_out_is_in_the_lock() -> None:
    locked = re.findall(r"^([\w.-]+)==", (ROOT / "requirements.txt").read_text(encoding="utf-8"), re.MULTILINE)
    lines = (ROOT / "deploy" / "left-out.txt").read_text(encoding="utf-8").splitlines()
    assert {line for line in lines if line and not line.startswith("#")} <= set(locked)


def test_every_package_that_the_wheel_holds_is_copied_into_its_build() -> None:
    packages = re.search(r"^packages = \[(.*)\]$", (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.M)
    assert packages is not None
    for package in re.findall(r'"(\w+)"', packages[1]):
        assert f"COPY {package} {package}\n" in DOCKERFILE
        assert f"!{package}\n" in (ROOT / ".dockerignore").read_text(encoding="utf-8")


def test_an_env_file_is_read_back_and_is_this_users_alone(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    assert read_env(file) == {}
    write_env(file, {"SORTLINE_S3_KEY": "a=b", "SORTLINE_VERSION": "1"})
    assert read_env(file) == {"SORTLINE_S3_KEY": "a=b", "SORTLINE_VERSION": "1"}
    assert file.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [file]


def test_the_build_gets_of_pips_settings_what_holds_on_any_machine() -> None:
    listed = ":env:.index-url='newer'\nglobal.cert='/ca.pem'\nglobal.index-url='older'"
    assert parse_pip_config(listed) == "[global]\nindex-url = newer\n"
    assert parse_pip_config("") == "[global]\n"


def test_the_build_trusts_what_pip_trusts_here(tmp_path: Path) -> None:
    pem = tmp_path / "ca.pem"
    pem.write_bytes(b"---")
    assert certificates({"PIP_CERT": str(pem), "SSL_CERT_FILE": "/elsewhere"}) == b"---"
    assert certificates({"PIP_CERT": str(tmp_path / "gone"), "SSL_CERT_FILE": str(pem)}) == b"---"
    assert certificates({}) == b""


def test_a_docker_command_with_its_plugins_is_called_as_it_is(tmp_path: Path, add_command: AddCommand) -> None:
    add_command("docker", "exit 0")
    assert _arguments(tmp_path) == ["compose", "ps"]


def test_without_plugins_compose_runs_in_a_container_that_sees_the_same_files(
    tmp_path: Path, add_command: AddCommand, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_command("docker", 'case "$1" in compose|buildx) exit 1;; *) exit 0;; esac')
    monkeypatch.setenv("DOCKER_HOST", "unix:///somewhere/docker.sock")
    arguments = _arguments(tmp_path)
    assert arguments[0] == "run"
    assert arguments[-3:] == ["docker", "compose", "ps"]
    assert f"{tmp_path}:{tmp_path}:ro" in arguments
    assert "/somewhere/docker.sock:/var/run/docker.sock" in arguments
    assert "NAME=value" in arguments


def test_an_engine_elsewhere_needs_the_plugins_here(
    tmp_path: Path, add_command: AddCommand, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_command("docker", 'case "$1" in compose|buildx) exit 1;; *) exit 0;; esac')
    monkeypatch.setenv("DOCKER_HOST", "tcp://build:2375")
    with pytest.raises(SetupError, match="lacks Compose or Buildx"):
        _arguments(tmp_path)


def _arguments(folder: Path) -> list[str]:
    return plugin_arguments(
        ["compose", "ps"], folders=[folder], variables={"NAME": "value"}, cache_dir=folder, progress=print
    )
