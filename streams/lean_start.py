"""Keeps from a worker's start what a worker does not need."""

from __future__ import annotations

import sys
from importlib.abc import MetaPathFinder

from faust.tables.manager import TableManager


class _NoPandas(MetaPathFinder):
    def find_spec(self, fullname: str, path: object, target: object = None) -> None:
        """Refuse pandas, and know nothing of other modules."""
        if fullname == "pandas":
            raise ModuleNotFoundError("a worker does without pandas", name=fullname)


def keep_pandas_out() -> None:
    """Let `import pandas` fail in this process, unless it was imported before.

    pyarrow imports pandas when the first array is made, to see whether it was given something of it: a second of
    a worker's start and 40 MiB, for nothing. LightGBM, where it has to score, goes on without pandas by itself.
    Not for processes that load from MLflow, which needs it.
    """
    if not any(isinstance(finder, _NoPandas) for finder in sys.meta_path):
        sys.meta_path.insert(0, _NoPandas())


class NoTables(TableManager):
    """Faust's tables, of which a worker has none: nobody has to be waited for to register some."""

    async def on_start(self) -> None:
        """Do what Faust does after its wait of a second."""
        await self._update_channels()
        await self.recovery.start()
