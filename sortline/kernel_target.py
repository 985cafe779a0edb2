"""For which processors kernels are compiled: as numba is told, unless this one lacks what it was told.

An image is built on one machine and runs on others, so it tells numba the level of processors for which its
kernels are compiled ahead (docs/decisions/0022-images.md). On a processor below that level the first kernel would
end the process with SIGILL, without a word.
"""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping
from pathlib import Path
from typing import Final

VARIABLE: Final = "NUMBA_CPU_NAME"
_FEATURES: Final = "NUMBA_CPU_FEATURES"
_CPU_INFO: Final = Path("/proc/cpuinfo")
#: What Linux calls the instructions of a level, as far as the level below has none of them.
_FLAGS: Final = {
    "x86-64-v2": frozenset({"ssse3", "sse4_1", "sse4_2", "popcnt", "cx16"}),
    "x86-64-v3": frozenset({"avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe"}),
}


def settle_kernel_target(environ: MutableMapping[str, str], *, flags: Iterable[str] | None = None) -> str | None:
    """Let numba compile for this processor if it lacks what `environ` tells numba; return a sentence about it.

    `flags` are those of the processor, by default what Linux says. None if there is nothing to do.
    """
    level = environ.get(VARIABLE, "")
    wanted = _FLAGS.get(level)
    if wanted is None:
        return None
    lacking = sorted(wanted - set(_linux_flags() if flags is None else flags))
    if not lacking:
        return None
    del environ[VARIABLE]
    environ.pop(_FEATURES, None)
    return (
        f"{VARIABLE}={level} and this processor has no {', '.join(lacking)}: kernels are compiled for it at every "
        "start; build the images with --build-arg KERNEL_CPU=generic"
    )


def _linux_flags() -> list[str]:
    try:
        lines = _CPU_INFO.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    return next((line.partition(":")[2].split() for line in lines if line.startswith("flags")), [])
