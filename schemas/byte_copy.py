"""Copies bytes inside kernels by one call of the C library.

A slice's assignment, `out[at : at + n] = data[start : start + n]`, takes two to six times as long, and numba
compiles a message about shapes that do not fit with it: 2 s of CPU at a cold start.
"""

from __future__ import annotations

from typing import Any, Final

from llvmlite import ir
from numba import types
from numba.core import cgutils as untyped_cgutils
from numba.extending import intrinsic

_cgutils: Final[Any] = untyped_cgutils  # numba types a part of it only


def _copy_bytes(_typing: Any, out: Any, at: Any, data: Any, start: Any, size: Any) -> Any:
    """Copy `size` bytes, 0 or more, from `data[start]` on to `out[at]` on; uint8, one dimension, two buffers.

    `data` is an array, or the address of one. Nothing is checked: both must have room.
    """
    is_address = isinstance(data, types.Integer)
    del at, start, size

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        to, to_at, source, source_at, n = args
        to = context.make_array(signature.args[0])(context, builder, to)
        if is_address:
            first = builder.inttoptr(source, ir.IntType(8).as_pointer())
        else:
            first = context.make_array(signature.args[2])(context, builder, source).data
        _cgutils.raw_memcpy(builder, builder.gep(to.data, [to_at]), builder.gep(first, [source_at]), n, itemsize=1)
        return context.get_dummy_value()

    return types.void(out, types.intp, types.intp if is_address else data, types.intp, types.intp), generate


copy_bytes: Final[Any] = intrinsic(_copy_bytes)
