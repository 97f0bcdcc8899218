"""Products of rows with weights in blocks (`weight_blocks.py`) in 8-bit integers, by AVX2 and no C compiler.

Every block of 32 numbers of a row is brought to integers of -127 to 127 with a scale of its own (as GGUF's
Q8), multiplied with the weights' codes in integers, exactly, and added up over blocks in float32, always in
the same order: a row's result is the same to the last bit alone and in company, and on any machine.

`vpmaddubsw` multiplies 32 codes with 32 numbers and adds neighbours, four inputs of eight outputs at a time;
a block's eight such sums are at most 16 x 15 x 127 = 30480 a place, which 16 bits hold. numba's own language
can't say that instruction, so these few functions are written in LLVM's, which numba passes on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numba
import numpy as np
from llvmlite import binding, ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

from player.compiled.compiled import compiled
from policies.llm.engine.weight_blocks import BLOCK, TILE

Floats = NDArray[np.float32]
Wholes = NDArray[np.int64]
NEEDS = ("avx2", "fma", "f16c")
"""Features of the processor."""
KNOWN_TO_HAVE_THEM = (None, "", "host", "haswell")
"""What $NUMBA_CPU_NAME may say; `haswell` is AVX2 and nothing newer."""

_BYTE, _SHORT, _INT, _LONG = (ir.IntType(bits) for bits in (8, 16, 32, 64))
_HALF, _FLOAT = ir.HalfType(), ir.FloatType()
_BYTES, _SHORTS, _INTS = ir.VectorType(_BYTE, 32), ir.VectorType(_SHORT, 16), ir.VectorType(_INT, 8)
_FLOATS, _HALVES = ir.VectorType(_FLOAT, 8), ir.VectorType(_HALF, 8)
_PLANE_BYTES = BLOCK * TILE // 2
_SCALE_BYTES = 2 * 2 * TILE
"""Steps and least values of a block of a tile."""
_LINE_BYTES = 64
"""Of a processor's cache."""
_ROW_SCALE_BYTES = 2 * 4
"""Scale and sum of a block of a row."""


def can() -> bool:
    """Whether this processor, and what numba compiles for, know the instructions."""
    has = binding.get_host_cpu_features()
    named: Any = numba.config  # its attributes come from the environment
    return all(has.get(name, False) for name in NEEDS) and named.CPU_NAME in KNOWN_TO_HAVE_THEM


class _Code:
    """LLVM instructions, appended one by one. Addresses are 64-bit integers."""

    def __init__(self, builder: Any) -> None:
        self.build = builder

    def at(self, address: Any, more: int) -> Any:
        """An address some bytes on."""
        return self.build.add(address, ir.Constant(_LONG, more))

    def at_item(self, address: Any, index: Any, size: int) -> Any:
        """The address of an item of an array."""
        return self.build.add(address, self.build.mul(index, ir.Constant(_LONG, size)))

    def load(self, address: Any, kind: Any) -> Any:
        """What stands at an address, however it is aligned."""
        found = self.build.load(self.build.inttoptr(address, kind.as_pointer()), typ=kind)
        found.align = 1
        return found

    def store(self, value: Any, address: Any) -> None:
        """Put it there."""
        self.build.store(value, self.build.inttoptr(address, value.type.as_pointer()), align=1)

    def prefetch(self, address: Any, size: int) -> None:
        """Have some bytes brought near that will be read soon; that they are nobody's does no harm."""
        pointer = _BYTE.as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [pointer, _INT, _INT, _INT])
        known = cgutils.get_or_insert_function(self.build.module, kind, "llvm.prefetch.p0")
        read, all_levels, data = (ir.Constant(_INT, value) for value in (0, 3, 1))
        for more in range(0, size, _LINE_BYTES):
            at = self.build.inttoptr(self.at(address, more), pointer)
            self.build.call(known, [at, read, all_levels, data])

    def filled(self, value: Any) -> Any:
        """A vector of 8 with the same value everywhere."""
        kind = ir.VectorType(value.type, TILE)
        first = self.build.insert_element(ir.Constant(kind, ir.Undefined), value, ir.Constant(_INT, 0))
        return self.build.shuffle_vector(
            first, ir.Constant(kind, ir.Undefined), ir.Constant(ir.VectorType(_INT, TILE), [0] * TILE)
        )

    def same(self, kind: Any, value: float) -> Any:
        """A constant vector."""
        return ir.Constant(kind, [value] * kind.count)

    def call(self, name: str, result: Any, *given: Any) -> Any:
        """One of LLVM's own functions."""
        kind = ir.FunctionType(result, [each.type for each in given])
        return self.build.call(cgutils.get_or_insert_function(self.build.module, kind, name), given)

    def pairs(self, codes: Any, numbers: Any) -> Any:
        """Sums of neighbours' products, of codes without sign and numbers with one."""
        return self.call("llvm.x86.avx2.pmadd.ub.sw", _SHORTS, codes, numbers)

    def quads(self, sums: Any, times: int) -> Any:
        """Sums of neighbours, times a number, in 32 bits."""
        return self.call("llvm.x86.avx2.pmadd.wd", _INTS, sums, self.same(_SHORTS, times))

    def fused(self, left: Any, right: Any, sums: Any) -> Any:
        """left x right + sums, rounded once."""
        return self.call("llvm.fma.v8f32", _FLOATS, left, right, sums)

    def halves(self, codes: Any) -> tuple[Any, Any]:
        """The low and the high four bits of each byte."""
        low = self.build.and_(codes, self.same(_BYTES, 15))
        moved = self.build.lshr(self.build.bitcast(codes, _SHORTS), self.same(_SHORTS, 4))
        return low, self.build.and_(self.build.bitcast(moved, _BYTES), self.same(_BYTES, 15))


def _block_sums(code: _Code, codes: Any, numbers: Sequence[Any]) -> list[Any]:
    """Of each row, 16 sums of two products of a block's codes of one plane and the row's numbers."""
    sums: list[Any] = [None] * len(numbers)
    for step in range(4):
        parts = code.halves(code.load(code.at(codes, 32 * step), _BYTES))
        for half, part in enumerate(parts):
            for row, there in enumerate(numbers):
                four = code.load(code.at(there, 8 * step + 4 * half), _INT)
                more = code.pairs(part, code.build.bitcast(code.filled(four), _BYTES))
                sums[row] = more if sums[row] is None else code.build.add(sums[row], more)
    return sums


def _tile_of(rows: int, planes: int) -> Callable[..., Any]:
    """Eight outputs of some rows. A function of compiled code:

    Args: addresses of a tile's codes, of its scales, number of blocks; of the rows' numbers (8 bits each),
        bytes from row to row; of the rows' scales, bytes from row to row; of the outputs, bytes from row to
        row; the weights' gain.
    """

    def generate(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        codes, scales, blocks, numbers, wide, row_scales, scales_wide, out, out_wide, gain = given
        code = _Code(builder)
        totals = [cgutils.alloca_once(builder, _FLOATS) for _ in range(rows)]
        for total in totals:
            builder.store(code.same(_FLOATS, 0.0), total)
        with cgutils.for_range(builder, blocks, intp=_LONG) as loop:
            here = code.at_item(codes, loop.index, planes * _PLANE_BYTES)
            code.prefetch(code.at_item(here, blocks, planes * _PLANE_BYTES), planes * _PLANE_BYTES)
            there = [code.at_item(code.at_item(numbers, wide, row), loop.index, BLOCK) for row in range(rows)]
            sums = [_block_sums(code, code.at(here, plane * _PLANE_BYTES), there) for plane in range(planes)]
            first = code.at_item(row_scales, loop.index, _ROW_SCALE_BYTES)
            beside = [code.at_item(first, scales_wide, row) for row in range(rows)]
            _add_block(code, totals, sums, code.at_item(scales, loop.index, _SCALE_BYTES), beside)
        for row, total in enumerate(totals):
            found = builder.fmul(builder.load(total), code.filled(gain))
            code.store(found, code.at_item(out, out_wide, row))
        return context.get_dummy_value()

    signature = types.void(*[types.int64] * 9, types.float32)

    def typed(
        typing: Any, codes: Any, scales: Any, blocks: Any, numbers: Any, wide: Any, row_scales: Any,
        scales_wide: Any, out: Any, out_wide: Any, gain: Any,
    ) -> Any:  # fmt: skip
        return signature, generate

    return intrinsic(typed)


def _add_block(
    code: _Code, totals: Sequence[Any], sums: Sequence[Sequence[Any]], scales: Any, of_rows: Sequence[Any]
) -> None:
    """To each row's total, what a block comes to.

    Args:
        sums: of each plane, of each row.
        scales, of_rows: addresses of the block's scales, and of each row's there.
    """
    build = code.build
    step, least = (
        build.fpext(code.load(code.at(scales, 2 * TILE * which), _HALVES), _FLOATS) for which in range(2)
    )
    for row, total in enumerate(totals):
        found = code.quads(sums[0][row], 1)
        for plane in range(1, len(sums)):
            found = build.add(found, code.quads(sums[plane][row], 16**plane))
        scale = build.fmul(step, code.filled(code.load(of_rows[row], _FLOAT)))
        whole = code.filled(code.load(code.at(of_rows[row], 4), _FLOAT))
        added = code.fused(build.sitofp(found, _FLOATS), scale, build.load(total))
        build.store(code.fused(least, whole, added), total)


_eight, _four, _one = (_tile_of(rows, 1) for rows in (8, 4, 1))
_eight_fine, _four_fine, _one_fine = (_tile_of(rows, 2) for rows in (8, 4, 1))


def _integers(typing: Any, values: Any, numbers: Any, scales: Any) -> Any:
    """32 float32 at an address as 32 bytes at another; at a third their scale, and the sum of what the bytes
    stand for.

    Not the sum of the values: the rounding of each number would then be multiplied with its code, which is
    twice as large as its weight, and not with its weight.
    """

    def generate(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        code = _Code(builder)
        four = [code.load(code.at(given[0], 32 * place), _FLOATS) for place in range(4)]
        sizes = [code.call("llvm.fabs.v8f32", _FLOATS, each) for each in four]
        greatest = _folded(
            code, sizes, lambda left, right: code.call("llvm.maxnum.v8f32", _FLOATS, left, right)
        )
        scale = builder.fdiv(greatest, ir.Constant(_FLOAT, 127.0))
        zero = builder.fcmp_ordered("==", greatest, ir.Constant(_FLOAT, 0.0))
        times = builder.fdiv(ir.Constant(_FLOAT, 127.0), greatest)
        times = code.filled(builder.select(zero, ir.Constant(_FLOAT, 0.0), times))
        whole = [code.call("llvm.rint.v8f32", _FLOATS, builder.fmul(each, times)) for each in four]
        for place, each in enumerate(whole):
            small = builder.trunc(builder.fptosi(each, _INTS), ir.VectorType(_BYTE, TILE))
            code.store(small, code.at(given[1], TILE * place))
        code.store(scale, given[2])
        code.store(builder.fmul(scale, _folded(code, whole, builder.fadd)), code.at(given[2], 4))
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), generate


def _folded(code: _Code, parts: Sequence[Any], join: Callable[[Any, Any], Any]) -> Any:
    """All numbers of four vectors of 8 as one."""
    found = join(join(parts[0], parts[1]), join(parts[2], parts[3]))
    for half in (4, 2, 1):
        places = [(place + half) % TILE for place in range(TILE)]
        moved = code.build.shuffle_vector(found, found, ir.Constant(ir.VectorType(_INT, TILE), places))
        found = join(found, moved)
    return code.build.extract_element(found, ir.Constant(_INT, 0))


_block_to_integers: Any = intrinsic(_integers)


@compiled
def in_integers(values: Floats) -> tuple[NDArray[np.int8], Floats]:
    """Rows in 8 bits: (rows, width) int8, and (rows, width / 32, 2) float32 a block's scale, and what its
    numbers stand for in all.

    Args:
        values: (rows, width) float32, finite; the width a multiple of 32.
    """
    rows, width = values.shape
    numbers, scales = np.empty((rows, width), np.int8), np.empty((rows, width // BLOCK, 2), np.float32)
    of_values, of_numbers, of_scales = values.ctypes.data, numbers.ctypes.data, scales.ctypes.data
    for block in range(rows * (width // BLOCK)):
        _block_to_integers(of_values + 128 * block, of_numbers + 32 * block, of_scales + 8 * block)
    return numbers, scales


@compiled
def product(place: Wholes, gain: np.float32, numbers: NDArray[np.int8], scales: Floats, out: Floats) -> None:
    """Rows times a matrix in blocks, into columns of `out`.

    Args:
        place: of the matrix, int64: addresses of its codes and scales, its planes, its outputs, and the
            column of `out` that takes the first of them.
        gain: of the matrix, float32.
        numbers, scales: of `in_integers`.
        out: (rows, …) float32.
    """
    rows, width = numbers.shape
    blocks, wide, planes = width // BLOCK, 4 * out.shape[1], place[2]
    of_out = out.ctypes.data + 4 * place[4]
    for tile in range(place[3] // TILE):
        codes = place[0] + tile * blocks * 128 * planes
        steps = place[1] + tile * blocks * 32
        row = 0
        while row < rows:
            taken = 8 if rows - row > 4 and rows >= 8 else 4 if rows >= 4 else 1
            row = min(row, rows - taken)  # some once more, with the same result, rather than few alone
            here = numbers.ctypes.data + row * width
            there = scales.ctypes.data + row * 8 * blocks
            into = of_out + row * wide + 32 * tile
            if planes == 1 and taken == 8:
                _eight(codes, steps, blocks, here, width, there, 8 * blocks, into, wide, gain)
            elif planes == 1 and taken == 4:
                _four(codes, steps, blocks, here, width, there, 8 * blocks, into, wide, gain)
            elif planes == 1:
                _one(codes, steps, blocks, here, width, there, 8 * blocks, into, wide, gain)
            elif taken == 8:
                _eight_fine(codes, steps, blocks, here, width, there, 8 * blocks, into, wide, gain)
            elif taken == 4:
                _four_fine(codes, steps, blocks, here, width, there, 8 * blocks, into, wide, gain)
            else:
                _one_fine(codes, steps, blocks, here, width, there, 8 * blocks, into, wide, gain)
            row += taken
