"""How the rows of synchronised views are asked about: conditions, chunks, devices, memory."""

import json
import os
import subprocess
import sys

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sciddm as sd
from sciddm.answer import Answer, Kick
from sciddm.denoiser import Draws, Guide
from sciddm.networks import conv


@eqx.filter_jit
def evaluate(denoiser, x_t, t, cond=None):
    """One compiled evaluation."""
    return denoiser.evaluate(x_t, jnp.asarray(t), cond)


def curved(process=None):
    """A model that is neither linear nor pointwise."""

    def expected(x, t, cond):
        return (
            jnp.tanh(x + 0.5 * jnp.roll(x, 1, 1)) + 0.3 * jnp.roll(x, 2, 1) * jnp.exp(-jnp.asarray(t))[..., None, None]
        )

    return sd.FunctionDenoiser(expected, process or sd.GaussianProcess.vp())


def test_conditions_are_one_a_sample_or_one_a_view(x64):
    shifted = sd.FunctionDenoiser(
        lambda x, t, cond: x * t[:, None] + cond["shift"] * cond["scale"], sd.GaussianProcess.vp()
    )
    views, x_t, t = sd.lookahead.windows(10, 4, 3), np.ones((2, 10)), np.array([0.2, 0.6])
    guided, shift = sd.lookahead.synchronize(shifted, views), np.array([[1.0], [2.0]])
    found, _, _ = evaluate(guided, x_t, t, {"shift": shift, "scale": 3.0, "none": None})
    np.testing.assert_allclose(found, x_t * t[:, None] + 3.0 * shift)
    each = np.arange(6.0)[:, None]
    of_views, _, _ = evaluate(guided, x_t, t, {"shift": each, "scale": 1.0})
    np.testing.assert_allclose(np.asarray(of_views)[1, ::9], [0.6 + 3.0, 0.6 + 5.0])
    bethe = sd.lookahead.synchronize(shifted, views, strategy="bethe")
    np.testing.assert_allclose(evaluate(bethe, x_t, t, {"shift": shift, "scale": 3.0})[0], found)
    with pytest.raises(ValueError, match="no cond of their own"):
        evaluate(bethe, x_t, t, {"shift": each, "scale": 1.0})
    with pytest.raises(ValueError, match="3 rows: expected 2"):
        evaluate(guided, x_t, t, {"shift": np.zeros((3, 1)), "scale": 1.0})


class Drawing(Guide):
    """Adds a random number, its key's own, to each x0_hat, and reports it."""

    denoiser: sd.Denoiser
    draws: Draws

    def evaluate(self, x_t, t, cond=None):
        z = jax.vmap(jax.random.normal)(self.draws(x_t.shape[0]))
        return Answer(self.denoiser(x_t, t, cond) + z[:, None, None], {"drawn": z, "squared": z**2})


@pytest.mark.parametrize("strategy", ["loss", "bethe"])
def test_chunks_and_neighbours_change_nothing(strategy, x64):
    views, t = sd.lookahead.windows(20, 6, 4, periodic=True), np.array([0.2, 0.5, 0.8])
    x_t = np.random.default_rng(0).normal(size=(3, 20, 2))
    inner = Drawing(curved(), Draws())

    @eqx.filter_jit
    def both(guided, x_t, t):
        if strategy == "loss":  # as the sampler does; the other case is how a guide draws outside of it
            guided = Draws.refresh(guided, jax.random.split(jax.random.key(3), 3)[: x_t.shape[0]])
        x0_hat, vjp, report = jax.vjp(lambda z: guided.evaluate(z, t)[:2], x_t, has_aux=True)
        return x0_hat, vjp(x0_hat)[0], report

    whole = both(sd.lookahead.synchronize(inner, views, strategy=strategy), x_t, t)
    chunked = both(sd.lookahead.synchronize(inner, views, strategy=strategy, chunk=2), x_t, t)
    for a, b in zip(jax.tree.leaves(whole), jax.tree.leaves(chunked), strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-9)
    if strategy == "loss":
        alone = both(sd.lookahead.synchronize(inner, views, strategy=strategy), x_t[:2], t[:2])
        for a, b in zip(jax.tree.leaves(whole), jax.tree.leaves(alone), strict=True):
            np.testing.assert_allclose(b, np.asarray(a)[:2], rtol=1e-9)
    assert whole[2]["drawn"].shape == whole[2]["disagreement"].shape == (3,)
    assert np.min(np.asarray(whole[2]["squared"]) - np.asarray(whole[2]["drawn"]) ** 2) > 1e-2  # each view has a number of its own


SHARDED = """
import json, sys
import jax, numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec
import sciddm as sd
from test_synchronize_rows import curved
mesh = jax.make_mesh((len(jax.devices()),), ("data",), axis_types=(AxisType.Auto,))
sharding = NamedSharding(mesh, PartitionSpec("data"))
views, x_t = sd.lookahead.windows(23, 6, 4), np.random.default_rng(0).normal(size=(2, 23, 2)).astype(np.float32)
seen = []
denoiser = curved()
def watched(x, t, cond):
    jax.debug.inspect_array_sharding(x, callback=lambda s: seen.append(len(s.device_set) * (not s.is_fully_replicated)))
    return denoiser(x, t)
watching = sd.FunctionDenoiser(watched, denoiser.process)
out = [jax.jit(sd.lookahead.synchronize(watching, views, chunk=chunk, sharding=sharding).__call__)(x_t, 0.5) for chunk in (None, 2)]
print(json.dumps([len(jax.devices()), seen, [np.asarray(o).tolist() for o in out]]))
"""


def test_rows_over_four_devices_are_those_of_one():
    path = [os.path.dirname(os.path.abspath(__file__)), *sys.path]
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(path),
        "XLA_FLAGS": os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=4",
    }
    done = subprocess.run([sys.executable, "-c", SHARDED], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    devices, seen, found = json.loads(done.stdout.splitlines()[-1])
    assert devices == 4 and seen and set(seen) == {4}
    views, x_t = sd.lookahead.windows(23, 6, 4), np.random.default_rng(0).normal(size=(2, 23, 2)).astype(np.float32)
    expected = jax.jit(sd.lookahead.synchronize(curved(), views).__call__)(x_t, 0.5)
    for one in found:
        np.testing.assert_allclose(one, expected, atol=1e-5)


def test_the_networks_memory_does_not_grow_with_the_whole():
    kernels = [np.ones((5, a, b), np.float32) for a, b in ((1, 64), (64, 64), (64, 1))]

    def network(x, t, cond):
        for kernel in kernels:
            x = jnp.tanh(conv(x, kernel))
        return x

    def temporary(length, chunk, gradient=False):
        views = sd.lookahead.windows(length, 64, 32)
        guided = sd.lookahead.synchronize(sd.FunctionDenoiser(network, sd.GaussianProcess.edm()), views, chunk=chunk)
        ask = jax.grad(lambda x, t: guided(x, t).sum()) if gradient else guided.__call__
        compiled = jax.jit(ask).lower(np.zeros((1, length, 1), np.float32), np.float32(0.5)).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    views_of_the_whole = 4 * 2 * 4096
    assert temporary(4096, 8) < 1.5 * temporary(512, 8) + 4 * views_of_the_whole
    assert temporary(4096, None) > 4 * temporary(4096, 8)
    assert temporary(4096, 8, gradient=True) < 1.5 * temporary(512, 8, gradient=True) + 8 * views_of_the_whole


class Push(Guide):
    """A kick of every view by its x0_hat."""

    def evaluate(self, x_t, t, cond=None):
        answer = self.denoiser.evaluate(x_t, t, cond)
        return answer.kicked(Kick(of_x_s=answer.x0_hat))


def test_a_kick_of_every_view_is_one_of_the_whole():
    process = sd.GaussianProcess.vp()
    model = sd.FunctionDenoiser(lambda x, t, cond: 0.5 * x + 1.0, process)
    views = sd.lookahead.windows(12, window=6, stride=3)
    start = np.random.default_rng(0).normal(size=(2, 12)).astype(np.float32)
    options = {"solver": "ddim", "grid": [0.6, 0.5], "start": start}
    plain, _ = sd.sample(jax.random.key(1), sd.lookahead.synchronize(model, views), (2, 12), **options)
    kicked, info = sd.sample(
        jax.random.key(1), sd.lookahead.synchronize(Push(model), views, chunk=2), (2, 12), **options
    )
    np.testing.assert_allclose(np.asarray(kicked) - np.asarray(plain), 0.5 * start + 1.0, rtol=1e-5, atol=1e-5)
    assert info["guidance_norm"].shape == (1, 2)
