"""Weighted sums of table rows in vector registers: what numba's loops cannot be talked into.

numba compiles `sums[k] += weight * row[k]` so that the sums go to memory and back with every row, and asks each
time whether the arrays overlap; here they stay in registers for all rows (three times as fast from cache). And a
row can be asked for before it is needed: with tables beyond the cache, waiting is most of the time.

Multiplication and addition are rounded apart and in the order given, as in the loop: the bits are the same.
"""

from __future__ import annotations

from typing import Any, Final

from llvmlite import ir
from numba import types
from numba.core import cgutils as untyped_cgutils
from numba.extending import intrinsic

#: Floats of a cache line: rows of a table are padded to a multiple of it.
LANES: Final = 16

_cgutils: Final[Any] = untyped_cgutils  # numba types a part of it only
_FLOAT: Final = ir.FloatType()
_BYTE: Final = ir.IntType(8)
_INT: Final = ir.IntType(32)


def _add_rows(lanes: int) -> Any:
    """Return an intrinsic that adds `lanes` columns of some rows to those of a start, and writes the sums.

    Its arguments: the table (2 dimensions, C order), the first column, int32 rows, float32 weights, how many rows,
    the start (1 dimension), where to (2 dimensions, C order), and its row.
    """

    @intrinsic
    def add_rows(
        typing: Any, table: Any, first: Any, rows: Any, weights: Any, n_rows: Any, start: Any, to: Any, to_row: Any
    ) -> Any:
        signature = types.void(table, types.intp, rows, weights, types.intp, start, to, types.intp)

        def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            arrays = {at: context.make_array(sig.args[at])(context, builder, args[at]) for at in (0, 2, 3, 5, 6)}
            vector = ir.VectorType(_FLOAT, lanes)

            def pointer(at: int, offset: Any) -> Any:
                return builder.bitcast(builder.gep(arrays[at].data, [offset]), vector.as_pointer())

            def offset(at: int, row: Any) -> Any:
                width = builder.extract_value(arrays[at].shape, 1)
                return builder.add(builder.mul(row, width), args[1])

            sums = _cgutils.alloca_once_value(builder, builder.load(pointer(5, args[1]), align=4))
            with _cgutils.for_range(builder, args[4]) as loop:
                row = builder.sext(builder.load(builder.gep(arrays[2].data, [loop.index])), loop.index.type)
                weight = builder.load(builder.gep(arrays[3].data, [loop.index]))
                undefined = ir.Constant(vector, ir.Undefined)
                spread = builder.shuffle_vector(
                    builder.insert_element(undefined, weight, ir.Constant(_INT, 0)),
                    undefined,
                    ir.Constant(ir.VectorType(_INT, lanes), [0] * lanes),
                )
                values = builder.load(pointer(0, offset(0, row)), align=4)
                builder.store(builder.fadd(builder.load(sums), builder.fmul(spread, values)), sums)
            builder.store(builder.load(sums), pointer(6, offset(6, args[7])), align=4)
            return context.get_dummy_value()

        return signature, generate

    return add_rows


add_rows_of_16: Final = _add_rows(16)
add_rows_of_32: Final = _add_rows(32)


def _fetch_line(typing: Any, table: Any, at: Any) -> Any:
    signature = types.void(table, types.intp)

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        array = context.make_array(sig.args[0])(context, builder, args[0])
        where = builder.bitcast(builder.gep(array.data, [args[1]]), _BYTE.as_pointer())
        kind = ir.FunctionType(ir.VoidType(), [where.type, _INT, _INT, _INT])
        prefetch = builder.module.declare_intrinsic("llvm.prefetch", [where.type], kind)
        builder.call(prefetch, [where, ir.Constant(_INT, 0), ir.Constant(_INT, 3), ir.Constant(_INT, 1)])
        return context.get_dummy_value()

    return signature, generate


#: Ask for the cache line at a position of a flat table, without waiting for it; nothing is read.
fetch_line: Final[Any] = intrinsic(_fetch_line)
