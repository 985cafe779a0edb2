"""For which processor kernels are compiled."""

from __future__ import annotations

from sortline.kernel_target import settle_kernel_target

HASWELL = ["sse4_2", "popcnt", "avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe"]


def test_without_a_level_numba_is_left_alone() -> None:
    environ = {"NUMBA_CPU_NAME": "generic"}
    assert settle_kernel_target({}, flags=[]) is None
    assert settle_kernel_target(environ, flags=[]) is None
    assert environ == {"NUMBA_CPU_NAME": "generic"}


def test_a_processor_of_the_level_runs_the_kernels_of_the_image() -> None:
    environ = {"NUMBA_CPU_NAME": "x86-64-v3", "NUMBA_CPU_FEATURES": ""}
    assert settle_kernel_target(environ, flags=HASWELL) is None
    assert environ == {"NUMBA_CPU_NAME": "x86-64-v3", "NUMBA_CPU_FEATURES": ""}


def test_an_older_processor_compiles_its_own_instead_of_dying_at_the_first() -> None:
    environ = {"NUMBA_CPU_NAME": "x86-64-v3", "NUMBA_CPU_FEATURES": "", "HOME": "/tmp"}
    sentence = settle_kernel_target(environ, flags=[flag for flag in HASWELL if flag != "avx2"])
    assert sentence is not None
    assert "this processor has no avx2" in sentence
    assert environ == {"HOME": "/tmp"}
