"""bfloat16 inside, float32 outside; a batch in parts is the batch."""

import importlib

import jax
import jax.extend.core
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from toy_domain import Toy, toy_config

from sciddm.denoiser import NetworkDenoiser
from sciddm.domain import domain_type
from sciddm.networks import split
from sciddm.networks.kinds import make_network
from sciddm.noise import White
from sciddm.train import gradient as gradients
from sciddm.train.precision import in_precision
from sciddm.train.state import initial_state, make_denoiser, make_objective, make_process, make_train_step


def _products(jaxpr, found):
    # (multiplications, the types they are made of) of every product
    for equation in jaxpr.eqns:
        inside = [variable.aval for variable in equation.invars]
        size, types = equation.outvars[0].aval.size if equation.outvars else 0, {str(getattr(one, "dtype", "")) for one in inside}
        if equation.primitive.name == "dot_general":
            (contracted, _), _ = equation.params["dimension_numbers"]
            found.append((size * np.prod([inside[0].shape[axis] for axis in contracted]), types))
        if equation.primitive.name == "conv_general_dilated":
            outputs = inside[1].shape[equation.params["dimension_numbers"].rhs_spec[0]]
            found.append((size * inside[1].size // outputs, types))
        for inner in jax.extend.core.jaxprs_in_params(equation.params):
            _products(inner, found)
    return found


@pytest.mark.parametrize("name", ["fields", "pde", "weather", "molecules"])
def test_the_network_multiplies_in_bfloat16_and_nothing_else_leaves_float32(name):
    config = importlib.import_module(f"configs.{name}").get_config("smoke")
    kind = domain_type(config)
    outline = kind.outline(config)
    network = split(nnx.eval_shape(lambda: make_network(config.network, kind.networks, outline.network_inputs, nnx.Rngs(0))))
    denoiser = NetworkDenoiser(network, make_process(config, White()), config.denoiser.prediction)
    config.training.precision = "bfloat16"
    loss = gradients.make_loss(config, make_objective(config))
    batch = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((4, *leaf.shape), leaf.dtype), (outline.example, outline.cond_example))

    def traced(params, x_0, cond):
        return loss(params, denoiser, jax.random.key(0), x_0, cond, None)

    _, gradient = jax.eval_shape(traced, network.params, *batch)
    assert {str(leaf.dtype) for leaf in jax.tree.leaves(gradient)} == {"float32"}
    products = _products(jax.make_jaxpr(traced)(network.params, *batch).jaxpr, [])
    half = sum(size for size, types in products if types == {"bfloat16"})
    assert half > 0.95 * sum(size for size, _ in products)
    seen = []

    class Watching(type(network)):
        def __call__(self, x, noise_level, cond=None):
            seen.extend(map(str, (jax.tree.leaves(x)[0].dtype, noise_level.dtype)))
            return x

    watching = NetworkDenoiser(Watching(None, {}), denoiser.process, denoiser.prediction)
    x0_hat = jax.eval_shape(lambda x: in_precision(watching, "bfloat16")(x, 0.5), batch[0])
    assert seen == ["bfloat16", "float32"] and {str(leaf.dtype) for leaf in jax.tree.leaves(x0_hat)} == {"float32"}


def test_training_in_bfloat16_follows_the_loss_curve_of_float32():
    """The same batches and draws: what differs is rounding, of eight bits."""
    curves = {}
    for precision in ("float32", "bfloat16"):
        config = toy_config(precision=precision, learning_rate=5e-3, warmup=20)
        domain = Toy(config)
        denoiser = make_denoiser(config, domain, 1.0)
        step, state = jax.jit(make_train_step(config, domain, denoiser)), initial_state(config, denoiser)
        losses = []
        for n in range(200):
            state, metrics = step(state, {"x": domain.points[16 * (n % 16) :][:16]}, np.float32(n / 200))
            losses.append(metrics["loss"])
        assert {leaf.dtype for leaf in jax.tree.leaves((state.params, state.ema, state.opt_state[1].mu))} == {jnp.dtype("float32")}
        curves[precision] = np.asarray(jax.device_get(losses)).reshape(10, 20).mean(1)
    assert curves["float32"][-1] < 0.9 * curves["float32"][0]
    np.testing.assert_allclose(curves["bfloat16"], curves["float32"], rtol=0.02)
    assert not np.array_equal(curves["bfloat16"], curves["float32"])


def test_a_batch_in_parts_has_the_loss_and_the_gradient_of_the_whole(monkeypatch):
    config = toy_config()
    domain = Toy(config)
    denoiser = make_denoiser(config, domain, 1.0)
    x_0, found = domain.normalizer.normalize(domain.points[:16]), []
    weight = np.linspace(0.2, 1.0, 32, dtype=np.float32).reshape(16, 2)
    for parts, cached, rows in ((1, gradients.CACHED, 16), (4, gradients.CACHED, 4), (2, 1, 8)):
        config.training.accumulate = parts
        monkeypatch.setattr(gradients, "CACHED", cached)
        sizes, objective = [], make_objective(config)
        monkeypatch.setattr(type(objective), "at", counted(type(objective).at, sizes))
        loss = jax.jit(gradients.make_loss(config, objective))
        found.append(loss(denoiser.network.params, denoiser, jax.random.key(3), x_0, None, weight))
        monkeypatch.undo()
        assert sizes[-1] == rows
    for one in found[1:]:
        for whole, part in zip(*map(jax.tree.leaves, (found[0], one)), strict=True):
            np.testing.assert_allclose(part, whole, rtol=2e-5, atol=1e-6)


def counted(at, sizes):
    def noted(self, denoiser, keys, *batch):
        sizes.append(len(keys))
        return at(self, denoiser, keys, *batch)

    return noted


@pytest.mark.parametrize(
    ("rows", "per_row", "params", "devices", "parts"),
    [
        (32, 8, 7, 1, 8),  # megabytes: 40 of a part stay in the cache
        (31, 8, 7, 1, 1),  # parts of a row each would be slivers
        (32, 8, 60, 1, 2),  # a part costs as much as the parameters take
        (32, 8, 7, 4, 2),  # 8 rows a device
        (4, 80, 7, 4, 1),  # and a part has rows of all devices
    ],
)
def test_a_batch_goes_in_parts_that_stay_in_the_cache_and_pay(rows, per_row, params, devices, parts):
    weights = jnp.zeros(params * 2**18)
    batch = (jax.ShapeDtypeStruct((rows, per_row * 2**18), jnp.float32),)

    def loss(weights, denoiser, x):
        return jnp.sum(jnp.sin(x * weights[0]))  # keeps x and its cosine, which is another x

    half = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((rows, leaf.shape[1] // 2), leaf.dtype), batch)
    assert gradients.parts_of(loss, weights, None, half, 1, devices) == parts
