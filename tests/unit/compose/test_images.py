from __future__ import annotations

from pathlib import Path

import pytest

from compose.images import OFFICIAL, ImageNames, local_images, obtain_images
from schemas.errors import SetupError

from .conftest import AddCommand


def fake_docker(calls: Path, *, present: tuple[str, ...] = (), pulls: bool = False) -> str:
    """A docker that has some images and notes how it was called."""
    known = "|".join(present) or "none"
    return f"""echo "$1 $2 $3" >>{calls}
for image; do :; done
case "$1" in
  image) case "$image" in {known}) exit 0;; *) exit 1;; esac;;
  pull) {"exit 0" if pulls else "echo 'no such host' >&2; exit 1"};;
esac"""


def test_images_that_are_here_are_used_without_asking_a_registry(tmp_path: Path, add_command: AddCommand) -> None:
    calls = tmp_path / "calls"
    add_command("docker", fake_docker(calls, present=(OFFICIAL.kafka, OFFICIAL.registry)))
    assert obtain_images(OFFICIAL, cache_dir=tmp_path, progress=print) == OFFICIAL
    assert "pull" not in calls.read_text(encoding="utf-8")


def test_images_that_were_built_here_are_used_before_a_pull(tmp_path: Path, add_command: AddCommand) -> None:
    local = local_images()
    calls = tmp_path / "calls"
    add_command("docker", fake_docker(calls, present=(local.kafka, local.registry)))
    assert obtain_images(OFFICIAL, cache_dir=tmp_path, progress=print) == local
    assert "pull" not in calls.read_text(encoding="utf-8")


def test_missing_images_are_pulled(tmp_path: Path, add_command: AddCommand) -> None:
    calls = tmp_path / "calls"
    add_command("docker", fake_docker(calls, present=(OFFICIAL.registry,), pulls=True))
    assert obtain_images(OFFICIAL, cache_dir=tmp_path, progress=print) == OFFICIAL
    pulled = [line for line in calls.read_text(encoding="utf-8").splitlines() if line.startswith("pull")]
    assert pulled == [f"pull --quiet {OFFICIAL.kafka}"]


def test_a_named_image_that_cannot_be_had_is_not_replaced_by_another(
    tmp_path: Path, add_command: AddCommand
) -> None:
    add_command("docker", fake_docker(tmp_path / "calls"))
    wanted = ImageNames(kafka="shop/kafka:1", registry=OFFICIAL.registry)
    with pytest.raises(SetupError, match=r"shop/kafka:1 .* cannot be pulled: .*no such host"):
        obtain_images(wanted, cache_dir=tmp_path, progress=print)


def test_a_machine_that_can_neither_pull_nor_build_is_told_what_to_do(
    tmp_path: Path, add_command: AddCommand
) -> None:
    add_command("docker", fake_docker(tmp_path / "calls"))  # and no debootstrap on the PATH
    with pytest.raises(SetupError, match="use --engine jvm"):
        obtain_images(OFFICIAL, cache_dir=tmp_path, progress=print)


def test_local_images_say_their_version_and_are_never_taken_for_official_ones() -> None:
    local = local_images()
    assert local.kafka.startswith("sortline/kafka:4.3.1-")
    assert local.registry.startswith("sortline/registry:3.3.3-")
