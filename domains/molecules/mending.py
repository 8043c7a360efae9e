"""A molecule that a user brings is repaired: noised to a level that leaves most of it as it is, and from there down to data again.

    x_t = alpha x_0 + sigma eps,  sigma / alpha <= noise        (SDEdit, arXiv:2108.01073, section 3; the guides act on the way down)
"""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from domains.molecules import answers
from sciddm import sample
from sciddm.arithmetic import combine
from sciddm.errors import UserError
from sciddm.given import say
from sciddm.keys import fold
from sciddm.lookahead import superpose
from sciddm.sample import fill_defaults, grid_times
from sciddm.time_travel import TimeTravel

NOISE = 0.5


@dataclass(frozen=True, eq=False)
class FromGiven:
    """A `sampler` of `Model.draw`, which starts at z, normalised (1, ...), noised to the first level of the grid that is no stronger than
    `noise`, sigma / alpha. Raises: UserError if the grid has none such but its end, or travels in time."""

    z: Any
    noise: float

    def __call__(self, keys, denoiser, like, *, cond, solver=None, steps=None, grid=None, **options):
        process = denoiser.given(cond).process
        solver, steps, grid = fill_defaults(denoiser, solver, steps, grid)
        if isinstance(grid, TimeTravel):
            raise UserError("grid: travels in time, and a repair starts in the midst of it; take a plain one")
        times = np.asarray(grid_times(grid, process, steps))
        alpha, sigma = (np.asarray(jax.vmap(level)(jnp.asarray(times))) for level in (process.alpha, process.sigma))
        weak = np.flatnonzero(sigma <= self.noise * alpha)
        first = int(weak[0]) if len(weak) else len(times)
        if first >= len(times) - 1:
            least = float((sigma / alpha)[-2])
            raise UserError(f"noise = {self.noise:g}: the weakest level of the {steps} steps is {least:.3g}; expected more, or more steps")
        eps = process.noise.sample_batch(fold(keys, 0), like)
        z = jax.tree.map(lambda leaf, e: jnp.broadcast_to(jnp.asarray(leaf, e.dtype), e.shape), self.z, eps)
        start = combine(alpha[first], z, sigma[first], eps)
        return sample(keys, denoiser, like, cond=cond, solver=solver, grid=times[first:], start=start, **options)


def note(layout, given, samples, molecules, name: str) -> None:
    """Write into each answer how far it is from what was given, x (n, ...), and what of it changed, and say it of all."""
    if not np.any(samples["features"]):
        for molecule in molecules:
            answers.noted(molecule, RMSD_to_given=np.nan, bonds_changed=np.nan, atoms_changed=np.nan)
        return
    there = layout.mask_of(given) > 0
    old, new = (layout.read(x) for x in (jax.tree.map(lambda leaf: leaf[None], given), samples))
    moved, fixed = jnp.asarray(samples["positions"][:, there]), jnp.asarray(given["positions"][there])
    laid = np.asarray(superpose(moved, jnp.broadcast_to(fixed, moved.shape)))
    rmsd = np.sqrt(np.square(laid - given["positions"][there]).sum(-1).mean(-1))
    bonds = (np.triu(old.orders != new.orders)).sum((1, 2))
    differs = (old.kinds != new.kinds) | (old.charges != new.charges) | (old.hydrogens != new.hydrogens)
    atoms = differs.sum(1)
    for molecule, *values in zip(molecules, rmsd, bonds, atoms, strict=True):
        if molecule is not None:
            molecule.SetProp("_Name", f"repaired {name}")
            answers.noted(molecule, RMSD_to_given=float(values[0]), bonds_changed=int(values[1]), atoms_changed=int(values[2]))
    valid = sum(answers.whole_molecule(m) for m in molecules)
    say(
        f"{valid} of {len(molecules)} answers are valid and in one piece; medians: RMSD to what was given {np.median(rmsd):.2f} A, "
        f"{np.median(bonds):g} bonds and {np.median(atoms):g} atoms (kind, charge or hydrogens) changed"
    )
