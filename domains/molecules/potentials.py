"""What a chemist would call wrong with a molecule, as smooth potentials of x in physical units, in nats."""

import jax.numpy as jnp
import numpy as np
from rdkit import Chem

from domains.molecules.bonds import VALENCES
from domains.molecules.layout import Layout


def valence(layout: Layout, x):
    """-1/2 sum_i sum_k p_ik min_v (sum_j order_ij + hydrogens_i - v - s_k(charge_i))^2, v the valences of kind k without a charge.

    s(q) = q for nitrogen and what stands to its right, -|q| for carbon's group and -q for boron's. Kinds that `VALENCES` does not know are
    left alone.

    Args: x: batch of x with pairs. Returns: (B,).
    """
    there = layout.mask_of(x)
    shares = jnp.clip(x["features"][..., : len(layout.kinds)], 0.0, 1.0)
    charge = x["features"][..., len(layout.kinds)]
    orders = jnp.sum(x["pairs"] * jnp.arange(x["pairs"].shape[-1], dtype=x["pairs"].dtype), (-2, -1))
    bonds = orders + (x["features"][..., -1] if layout.heavy else 0.0)
    missed = []
    for kind in layout.kinds:
        allowed, outer = VALENCES.get((kind, 0)), Chem.GetPeriodicTable().GetNOuterElecs(kind)
        if allowed is None:
            missed.append(jnp.zeros_like(bonds))
            continue
        shift = charge if outer > 4 else -jnp.abs(charge) if outer == 4 or kind == 1 else -charge
        error = bonds[..., None] - jnp.asarray(allowed, jnp.float32) - shift[..., None]
        missed.append(jnp.min(jnp.square(error), -1))
    return -0.5 * jnp.sum(there * jnp.sum(shares * jnp.stack(missed, -1), -1), -1)


def clash(layout: Layout, x):
    """-1/2 sum_ij max(closest_ij - d_ij, 0)^2 / (0.1 A)^2 over pairs of atoms, with closest_ij a share of the sum of their covalent radii:
    0.85 for any two, and 1.35 for two without a bond, as far as the pair has none.

    Args: x: batch of x. Returns: (B,).
    """
    there = layout.mask_of(x)
    radii = jnp.asarray([Chem.GetPeriodicTable().GetRcovalent(kind) for kind in layout.kinds], jnp.float32)
    radius = jnp.clip(x["features"][..., : len(layout.kinds)], 0.0, 1.0) @ radii
    reach = radius[..., :, None] + radius[..., None, :]
    apart = jnp.clip(x["pairs"][..., 0], 0.0, 1.0) if layout.pairs else 0.0
    delta = x["positions"][..., :, None, :] - x["positions"][..., None, :, :]
    distance = jnp.sqrt(jnp.sum(jnp.square(delta), -1) + 1e-6)
    n = there.shape[-1]
    pairs = there[..., :, None] * there[..., None, :] * (1.0 - np.eye(n, dtype=np.float32))
    close = jnp.maximum((0.85 + 0.5 * apart) * reach - distance, 0.0)
    return -0.25 * jnp.sum(pairs * jnp.square(close), (-2, -1)) / 0.1**2
