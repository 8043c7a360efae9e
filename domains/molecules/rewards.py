"""Rewards of molecules, in pairs of measures of the same quality."""

import jax.numpy as jnp
import numpy as np
from rdkit import Chem

from sciddm import rewards
from sciddm.domain import Reward

STRETCH = 1.25  # times the sum of covalent radii: no bond is longer, and hardly two atoms without one as near


def make_rewards(domain) -> dict[str, Reward]:
    """Rewards by name: `radius of gyration` beside `span` (the largest distance), `hetero atoms` (no carbon or hydrogen, from the soft
    kinds) beside `named hetero atoms` (the nearest kinds, without a gradient), `rings` beside `short distances`."""
    layout = domain.layout
    hetero = np.asarray([kind not in (1, 6) for kind in layout.kinds], np.float32)
    radii = np.asarray([Chem.GetPeriodicTable().GetRcovalent(kind) for kind in layout.kinds], np.float32)

    def there(x):
        return layout.mask_of(x)

    def gyration(x):
        return rewards.radius_of_gyration(x["positions"], there(x))

    def span(x):
        delta = x["positions"][:, :, None] - x["positions"][:, None]
        pairs = there(x)[:, :, None] * there(x)[:, None]
        return jnp.sqrt(jnp.max(pairs * jnp.sum(jnp.square(delta), -1), (1, 2)) + 1e-6)

    def hetero_atoms(x):
        return jnp.sum(x["features"][..., : len(hetero)] @ hetero * there(x), 1)

    def named_hetero_atoms(x):
        return jnp.sum(jnp.asarray(hetero)[jnp.argmax(x["features"][..., : len(hetero)], -1)] * there(x), 1)

    def reach(x):
        # (B, n, n) angstrom
        radius = jnp.asarray(radii)[jnp.argmax(x["features"][..., : len(hetero)], -1)]
        return STRETCH * (radius[:, :, None] + radius[:, None])

    def rings(x):
        near = rewards.neighbours(x["positions"], reach(x), there(x))
        return rewards.rings(jnp.argmax(x["pairs"], -1) > 0 if layout.pairs else near, there(x))

    def short_distances(x):
        return rewards.contacts(x["positions"], reach(x), there(x))

    return {
        "radius of gyration": Reward(gyration, "angstrom", held_out="span"),
        "span": Reward(span, "angstrom", held_out="radius of gyration"),
        "hetero atoms": Reward(hetero_atoms, "1", held_out="named hetero atoms"),
        "named hetero atoms": Reward(named_hetero_atoms, "1", held_out="hetero atoms", differentiable=False),
        "rings": Reward(rings, "1", held_out="short distances", differentiable=False),
        "short distances": Reward(short_distances, "1", held_out="rings", differentiable=False),
    }
