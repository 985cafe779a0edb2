"""Keeps from a worker's start what a worker does not need."""

from __future__ import annotations

import importlib
import sys
from importlib.abc import MetaPathFinder

from faust.tables.manager import TableManager


class _Without(MetaPathFinder):
    def __init__(self, package: str) -> None:
        self.package = package

    def find_spec(self, fullname: str, path: object, target: object = None) -> None:
        """Refuse the package, and know nothing of other modules."""
        if fullname == self.package:
            raise ModuleNotFoundError(f"a worker does without {self.package}", name=fullname)


def keep_pandas_out() -> None:
    """Let `import pandas` fail in this process, unless it was imported before.

    pyarrow imports pandas when the first array is made, to see whether it was given something of it: a second of
    a worker's start and 40 MiB, for nothing. LightGBM, where it has to score, goes on without pandas by itself.
    Not for processes that load from MLflow, which needs it.
    """
    if not any(isinstance(finder, _Without) and finder.package == "pandas" for finder in sys.meta_path):
        sys.meta_path.insert(0, _Without("pandas"))


def keep_scipy_out_of_numba() -> None:
    """Let numba do without scipy, which it imports for matrix products in kernels: none of ours has one.

    A kernel with a matrix product would be refused by the compiler in this process. scipy itself can be imported
    afterwards, by LightGBM where it has to score.
    """
    finder = _Without("scipy.linalg")
    sys.meta_path.insert(0, finder)
    try:
        importlib.import_module("numba.np.arraymath")  # looks once, and keeps what it found
    finally:
        sys.meta_path.remove(finder)


class NoTables(TableManager):
    """Faust's tables, of which a worker has none: nobody has to be waited for to register some."""

    mundane_level = "debug"  # that a service starts is no news

    async def on_start(self) -> None:
        """Do what Faust does after its wait of a second."""
        await self._update_channels()
        await self.recovery.start()
