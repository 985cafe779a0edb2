"""The workflows of .github cannot run here; what can be known of them without GitHub is checked."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

_ACTIONLINT: Final = "github.com/rhysd/actionlint/cmd/actionlint@v1.7.12"
_PINNED: Final = re.compile(r"uses: [\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$")


@pytest.fixture(scope="module")
def folder(repository: Path) -> Path:
    return repository / ".github" / "workflows"


@pytest.fixture(scope="module")
def actionlint(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Where actionlint is: on the PATH, or built by Go, which keeps what it built."""
    if (found := shutil.which("actionlint")) is not None:
        return found
    if (go := shutil.which("go")) is None:
        pytest.skip("neither actionlint nor Go is here")
    target = tmp_path_factory.mktemp("bin")
    environment = {**os.environ, "GOBIN": str(target)}
    built = subprocess.run(
        [go, "install", _ACTIONLINT], capture_output=True, text=True, env=environment, check=False
    )
    if built.returncode != 0:
        pytest.skip(f"Go cannot build actionlint here: {built.stderr.strip().splitlines()[-1]}")
    return str(target / "actionlint")


def test_actionlint_finds_nothing(folder: Path, actionlint: str) -> None:
    done = subprocess.run([actionlint, *_files(folder)], capture_output=True, text=True, cwd=folder, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_make_target_that_a_workflow_calls_exists(folder: Path, repository: Path) -> None:
    makefile = (repository / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, re.M))
    called = {
        word
        for _, step in _steps(folder)
        for line in re.findall(r"^make (.+)$", step.get("run", ""), re.M)
        for word in line.split()
        if re.fullmatch(r"[a-z]+", word)
    }
    assert called
    assert called <= targets


def test_actions_are_pinned_by_commit_with_their_version_beside_it(folder: Path) -> None:
    lines = [line for file in _files(folder) for line in file.read_text(encoding="utf-8").splitlines()]
    uses = [line.strip().removeprefix("- ") for line in lines if "uses:" in line]
    assert uses
    assert [line for line in uses if not _PINNED.match(line)] == []


def test_the_same_action_is_pinned_to_the_same_commit_everywhere(folder: Path) -> None:
    pins = {step["uses"] for _, step in _steps(folder) if "uses" in step}
    assert len({pin.partition("@")[0] for pin in pins}) == len(pins)


def test_steps_run_one_command_each_and_take_nothing_from_expressions(folder: Path) -> None:
    commands = [step["run"].strip() for _, step in _steps(folder) if "run" in step]
    assert [command for command in commands if "\n" in command or "${{" in command] == []


def test_the_images_that_are_deployed_are_those_that_the_whole_stack_runs(folder: Path, repository: Path) -> None:
    deployed = _read(folder / "deploy.yml")["jobs"]["images"]["strategy"]["matrix"]["image"]
    services = yaml.safe_load((repository / "deploy" / "compose.yaml").read_text(encoding="utf-8"))["services"]
    built = {service["build"]["target"] for service in services.values() if "build" in service}
    assert sorted(deployed) == sorted(built)


def test_every_job_has_a_timeout_and_says_what_it_may(folder: Path) -> None:
    for file in _files(folder):
        workflow = _read(file)
        assert workflow["permissions"] == {}, file.name
        assert "concurrency" in workflow, file.name
        for name, job in workflow["jobs"].items():
            assert "timeout-minutes" in job, f"{file.name}: {name}"


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.yml"))


def _steps(folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for file in _files(folder):
        for name, job in _read(file)["jobs"].items():
            for step in job["steps"]:
                yield f"{file.name}: {name}", step


def _read(file: Path) -> dict[str, Any]:
    workflow: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    return workflow
