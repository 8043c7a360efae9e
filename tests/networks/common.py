"""What the tests of networks share: one function that runs them, filled layers, and inputs by numpy, which compile nothing."""

import jax
import numpy as np

from sciddm.networks import Network, split

_run = jax.jit(Network.__call__)


def run(*args):
    """network(x, noise_level, cond), of numpy."""
    return jax.tree.map(np.asarray, _run(*args))


def filled(module, scale=0.2) -> Network:
    """The network with noise on all its parameters, so that layers which begin at zero count too."""
    network = split(module)
    leaves, structure = jax.tree.flatten(network.params)
    rng = np.random.default_rng(1)
    noisy = [np.asarray(leaf) + scale * rng.standard_normal(leaf.shape).astype(np.float32) for leaf in leaves]
    return network.replace(structure.unflatten(noisy))


def normal(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def check_condition(network, x, cond, tolerance=1e-4):
    """The condition counts, keep = 0 makes a sample unconditional and keep = 1 leaves it; the answer that is given it."""
    keep = [{"keep": np.float32(values)} for values in ([1, 1, 1], [1, 0, 1])]
    given, mixed = (run(network, x, 0.2, cond | values) for values in keep)
    null = run(network, x, 0.2)
    for one, none, some in zip(*(jax.tree.leaves(tree) for tree in (given, null, mixed)), strict=True):
        np.testing.assert_allclose(some[1], none[1], rtol=tolerance, atol=tolerance)
        np.testing.assert_allclose(some[0], one[0], rtol=tolerance, atol=tolerance)
        assert np.abs(one - none).max() > 1e-3
    return given
