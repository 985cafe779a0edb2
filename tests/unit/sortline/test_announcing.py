"""What becomes of an announcement that cannot be written."""

from __future__ import annotations

from compose.sockets import free_ports
from sortline.models_command.announcing import announce_champion


def test_without_a_registry_the_champion_stays_set_and_a_sentence_says_when_workers_see_it() -> None:
    kafka, registry = free_ports(2)
    problem = announce_champion(
        "sortline",
        3,
        bootstrap=f"127.0.0.1:{kafka}",
        registry_url=f"http://127.0.0.1:{registry}",
        topic="models.announced",
    )
    assert problem is not None
    assert problem.startswith("workers are not told at once (")
    assert problem.endswith("; each finds the champion with its next look at MLflow")
