"""A small transformer of patches, a field for it, and a condition of each kind."""

from flax import nnx
from networks.common import filled, normal

from sciddm.networks import DiT

COND = {"concat": normal(5, 3, 8, 8, 2), "embedding": normal(6, 3, 6), "tokens": normal(7, 3, 4, 5)}


def make(ndim=2, **options):
    """A small transformer whose zero-initialised layers are filled, so that every path counts."""
    return filled(DiT(3, ndim=ndim, dim=16, depth=2, heads=2, features=16, rngs=nnx.Rngs(0), **options))


def field(ndim=2):
    return normal(2, 3, *(8, 8, 4)[:ndim], 3)
