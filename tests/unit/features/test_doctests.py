from __future__ import annotations

import doctest
import importlib

import pytest


@pytest.mark.parametrize("name", ["identities", "matrix", "murmur3", "normal_form", "prices", "spec"])
def test_the_examples_in_the_docstrings_hold(name: str) -> None:
    result = doctest.testmod(importlib.import_module(f"features.{name}"))

    assert result.attempted > 0
    assert result.failed == 0
