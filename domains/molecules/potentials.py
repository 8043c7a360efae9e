"""What a chemist would call wrong with a molecule, as smooth potentials of x in physical units, in nats."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from rdkit import Chem

from domains.molecules.bonds import VALENCES
from domains.molecules.layout import Layout
from sciddm.process import GaussianProcess


def valence(layout: Layout, x):
    """-1/2 sum_i sum_k p_ik min_v (sum_j order_ij + hydrogens_i - v - s_k(charge_i))^2, v the valences of kind k without a charge.

    s(q) = q for nitrogen and what stands to its right, -|q| for carbon's group and -q for boron's. Kinds that `VALENCES` does not know are
    left alone.

    Args: x: batch of x with pairs. Returns: (B,).
    """
    shares, excess = _excess(layout, x)
    return -0.5 * jnp.sum(layout.mask_of(x) * jnp.sum(shares * jnp.square(excess), -1), -1)


def _excess(layout: Layout, x):
    # (B, n, kinds): the share p_ik of each kind, and how many bonds too many an atom of that kind has
    shares = jnp.clip(x["features"][..., : len(layout.kinds)], 0.0, 1.0)
    charge = x["features"][..., len(layout.kinds)]
    orders = jnp.sum(x["pairs"] * jnp.arange(x["pairs"].shape[-1], dtype=x["pairs"].dtype), (-2, -1))
    bonds = orders + (x["features"][..., -1] if layout.heavy else 0.0)
    excess = []
    for kind in layout.kinds:
        allowed, outer = VALENCES.get((kind, 0)), Chem.GetPeriodicTable().GetNOuterElecs(kind)
        if allowed is None:
            excess.append(jnp.zeros_like(bonds))
            continue
        shift = charge if outer > 4 else -jnp.abs(charge) if outer == 4 or kind == 1 else -charge
        each = bonds[..., None] - jnp.asarray(allowed, jnp.float32) - shift[..., None]
        nearest = jnp.argmin(jnp.abs(each), -1, keepdims=True)
        excess.append(jnp.take_along_axis(each, nearest, -1)[..., 0])
    return shares, jnp.stack(excess, -1)


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


class Hydrogens(eqx.Module):
    """A constraint for `sciddm.lookahead.constrain`: each heavy atom has the hydrogens that its valence leaves, and no fewer than none.

    h_i <- max(h_i - sum_k p_ik excess_ik, 0). Valences are linear, so that the expected molecule of data with valences that add up has them
    add up too, at every noise level: what is taken from x0_hat is error of the network. x_0 is normalised.
    """

    layout: Layout = eqx.field(static=True)
    std: dict

    def __call__(self, x_0):
        x = jax.tree.map(jnp.multiply, x_0, self.std)
        shares, excess = _excess(self.layout, x)
        left = x["features"][..., -1] - jnp.sum(shares * excess, -1) / jnp.maximum(jnp.sum(shares, -1), 1e-3)
        left = jnp.maximum(left, 0.0) * self.layout.mask_of(x) / self.std["features"][..., -1]
        return x_0 | {"features": x_0["features"].at[..., -1].set(left)}


class Chemistry(eqx.Module):
    """potential(x_0, t) of normalised x_0 for `sciddm.lookahead.steer`: w(t) (clash weight * clash + valence weight * valence).

    Valence where no hydrogens are counted, which `Hydrogens` would put right. w = 1 / (1 + 300 r^2), r^2 = sigma^2 / (alpha^2 + sigma^2):
    the expected molecule of strong noise is an average of molecules and none itself, so it is not judged; and shifts of x0_hat, of
    about r^2 times the slope, stay stable.
    """

    layout: Layout = eqx.field(static=True)
    std: dict
    valence: jax.Array
    clash: jax.Array
    process: GaussianProcess

    def __call__(self, x_0, t):
        x = jax.tree.map(jnp.multiply, x_0, self.std)
        total = self.clash * clash(self.layout, x)
        if self.layout.pairs and not self.layout.heavy:
            total = total + self.valence * valence(self.layout, x)
        alpha, sigma = self.process.alpha(t), self.process.sigma(t)
        return total / (1.0 + 300.0 * sigma**2 / (alpha**2 + sigma**2))
