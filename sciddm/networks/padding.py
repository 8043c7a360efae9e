"""A grid of any size for a network that needs multiples of a divisor: padded, and cropped again."""

import math
from dataclasses import dataclass

import jax.numpy as jnp

from sciddm.networks.conv import each_axis


@dataclass(frozen=True)
class Padding:
    """From `space` points an axis to the next multiples of `divisor`; crop(pad(x)) is x.

    An axis with edges is continued by reflection: what is added has the variance and the grain of what is there, noise included, where
    repeated edge values would be streaks of noise that no average takes away. Down to a single point, which is repeated.
    A periodic axis that the divisor divides stays as it is, and wraps around exactly. Any other is continued on both sides with what
    comes around, at least `halo` points of it (None: one divisor, a point of the coarsest grid that is divided down to), so that what is
    cropped sees its neighbours across the seam; on the padded grid that axis has edges, and `periodic` says so. Where going around a few
    times takes no more points than that, it is done instead, and the axis still wraps around exactly.

    Args: space: points along each axis; divisor: of the sizes; wraps: whether the grid wraps around, one bool or one for each axis.
    """

    space: tuple[int, ...]
    divisor: int
    wraps: bool | tuple[bool, ...] = False
    halo: int | None = None

    @property
    def margins(self) -> tuple[tuple[int, int], ...]:
        """Points before and after, for each axis."""
        return tuple(margin for margin, _ in self._axes())

    @property
    def periodic(self) -> tuple[bool, ...]:
        """Whether each axis of the padded grid wraps around."""
        return tuple(wraps for _, wraps in self._axes())

    def _axes(self):
        halo = self.divisor if self.halo is None else self.halo
        found = []
        for size, wraps in zip(self.space, each_axis(self.wraps, len(self.space)), strict=True):
            to_edges, around = -(-size // self.divisor) * self.divisor, math.lcm(size, self.divisor)
            with_halo = -(-(size + 2 * halo) // self.divisor) * self.divisor
            exact = wraps and around <= with_halo
            total = (around if exact else with_halo if wraps else to_edges) - size
            found.append(((total // 2, total - total // 2), exact))
        return found

    def pad(self, x):
        """(B, *space, C) -> (B, *padded, C)."""
        for axis, (wrap, margin) in enumerate(zip(each_axis(self.wraps, len(self.space)), self.margins, strict=True)):
            if any(margin):
                around = [(0, 0)] * x.ndim
                around[1 + axis] = margin
                x = jnp.pad(x, around, mode="wrap" if wrap else "reflect")
        return x

    def crop(self, x):
        """(B, *padded, C) -> (B, *space, C)."""
        inside = (slice(before, before + size) for size, (before, _) in zip(self.space, self.margins, strict=True))
        return x[:, *inside]
