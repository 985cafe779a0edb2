"""Fixtures that every test may use; those that need a broker are in tests/integration/conftest.py."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings


def pytest_configure() -> None:
    """Let made-up inputs take their time: how long they take is a matter of what else the machine does."""
    settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("patient")


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the work tree."""
    return Path(__file__).parents[1]


@pytest.fixture(scope="session")
def evaluation_data(repository: Path) -> Path:
    """Catalogues beside the repository, which may not be published with it; skips where they are not."""
    folder = repository.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the evaluation catalogues in ../shared/data are not here")
    return folder


@pytest.fixture(autouse=True)
def _no_settings_of_the_developer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the SORTLINE_ variables of the shell that runs the tests: they would change the defaults under test."""
    for name in list(os.environ):
        if name.startswith("SORTLINE_") and not name.startswith("SORTLINE_TEST_"):
            monkeypatch.delenv(name)
