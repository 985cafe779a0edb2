"""What a worker's process does without, and that it works all the same."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import sys
from streams.lean_start import keep_pandas_out
keep_pandas_out()
import numpy as np
import pyarrow as pa
assert pa.array(np.arange(3)).to_pylist() == [0, 1, 2]
import lightgbm
data = lightgbm.Dataset(np.arange(40.0).reshape(20, 2), np.arange(20) % 2, params={"min_data_in_leaf": 2})
booster = lightgbm.train({"objective": "binary", "verbose": -1, "min_data_in_leaf": 2}, data, 2)
assert booster.predict(np.zeros((3, 2))).shape == (3,)
assert "pandas" not in sys.modules
"""

NUMBA = """
import sys
from streams.lean_start import keep_scipy_out_of_numba
keep_scipy_out_of_numba()
import numpy as np
from numba import njit
assert njit(lambda x: x.sum())(np.arange(4)) == 6
assert "scipy.linalg" not in sys.modules
from scipy import linalg, sparse
assert linalg.norm(sparse.eye(4).toarray()) == 2
"""


def test_arrays_and_lightgbm_work_without_pandas() -> None:
    run(PROGRAM)


def test_kernels_work_without_scipy_which_can_be_imported_afterwards() -> None:
    run(NUMBA)


def run(program: str) -> None:
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
