"""Does it fit into memory? Estimated before the work, so that a number with too many digits is one line and not a machine that hangs."""

import math

import psutil

from sciddm.errors import UserError

COPIES = 3  # of an answer while it is made: on the device, in parts, joined


def check_memory(need: float, what: str, way_out: str) -> None:
    """Raises: UserError if `need` bytes are more than what is free. what: such as "--count 1000000"; way_out: such as "take fewer"."""
    free = psutil.virtual_memory().available
    if need > free:
        raise UserError(f"{what}: takes about {in_words(need)} of memory, {in_words(free)} are free; {way_out}")


def check_answers(example, count: int, what: str) -> None:
    """That `count` answers, each like `example` (a pytree of anything with shape and dtype), fit. Raises: UserError."""
    import jax

    size = sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in jax.tree.leaves(example))
    check_memory(COPIES * (size + 16.0) * count, what, "take fewer at a time, each with another seed")


def in_words(size: float) -> str:
    """Bytes with a unit."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6)):
        if size >= scale:
            return f"{size / scale:,.1f} {unit}"
    return f"{size:,.0f} bytes"
