"""In what the model is computed, and the option for it. What takes long to import has no place here."""

from __future__ import annotations

from typing import Any

AUTO, FLOAT32, BFLOAT16, INT8 = DTYPES = ("auto", "float32", "bfloat16", "int8")


def add_dtype_option(group: Any, default: str = AUTO) -> None:
    """What the model is computed in, which an engine takes as `dtype`."""
    group.add_argument(
        "--dtype",
        choices=DTYPES,
        default=default,
        help="what the model is computed in; int8: weights of 4 or 8 bits, on a CPU with AVX2; auto: that,"
        " else bfloat16 where the device multiplies it, else float32 (default: %(default)s)",
    )
