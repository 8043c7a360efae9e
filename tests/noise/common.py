"""A law of several leaves for the tests of noise: positions without a centre of mass, and features, under a mask."""

import jax.numpy as jnp

import sciddm as sd

MASKS = jnp.array([[1, 1, 1, 1], [1, 1, 0, 1], [1, 0, 0, 1]])
MOLECULES = {"positions": (4, 3), "features": (4, 2)}


def molecules(mask):
    return sd.PerLeaf({"positions": sd.ZeroCentreOfMass(mask), "features": sd.Masked(mask[..., None])})
