"""Asking for memory before it is read or written: a batch's sessions lie far apart in it, and what was asked
for in time need not be waited for."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

LINE_BYTES = 64


def _prefetch(typing: Any, address: Any) -> Any:
    """A function of compiled code: the line at an address is wanted soon. Changes nothing, whatever lies
    there."""

    def generate(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        byte, whole = ir.IntType(8), ir.IntType(32)
        place = builder.inttoptr(given[0], byte.as_pointer())
        kind = ir.FunctionType(ir.VoidType(), [place.type, whole, whole, whole])
        called = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        builder.call(called, [place, whole(0), whole(3), whole(1)])
        return context.get_dummy_value()

    return types.void(types.int64), generate


prefetch: Any = intrinsic(_prefetch)
