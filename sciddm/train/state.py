"""What a run is made of: process, denoiser, optimiser, state, and the pure step between two states."""

import contextlib
import math
import warnings
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from sciddm.denoiser import NetworkDenoiser
from sciddm.domain import Domain, Outline
from sciddm.errors import UserError
from sciddm.grids import Logistic
from sciddm.named import check_options, near
from sciddm.networks import Network, split
from sciddm.networks.kinds import make_network
from sciddm.noise import White
from sciddm.objective import Objective, measure_sigma_data
from sciddm.process import PROCESSES, GaussianProcess
from sciddm.train.gradient import make_loss


class TrainState(NamedTuple):
    """Everything that changes in training. bad_step: the first step with a loss that is not finite, or -1."""

    step: Any
    params: Any
    ema: Any
    opt_state: Any
    bad_step: Any


def process_constructor(config):
    """What config.process.name names. Raises: UserError with the near match."""
    name = config.process.name
    if name not in PROCESSES:
        raise UserError(f"config.process.name = {name!r}: expected one of {list(PROCESSES)}{near(name, PROCESSES)}")
    return getattr(GaussianProcess, name)


def make_process(config, noise) -> GaussianProcess:
    """The process of config.process: its name, the rest being arguments of that constructor. Raises: UserError that names the key."""
    constructor, name = process_constructor(config), config.process.name
    options = {key: value for key, value in config.process.items() if key != "name"}
    try:
        check_options(constructor, options, ("noise",))
    except ValueError as error:
        raise UserError(f"config.process.{error} (of process {name!r})") from error
    return constructor(noise=noise, **options)


def measure_sigma(config, domain: Domain):
    """config.denoiser.sigma_data, or what up to 1024 normalised training samples measure."""
    if config.denoiser.sigma_data is not None:
        return float(config.denoiser.sigma_data)
    dataset = domain.dataset("train")
    rows = [dataset[i] for i in range(0, len(dataset), max(len(dataset) // 1024, 1))]
    stack = lambda *leaves: np.stack(leaves)  # noqa: E731
    z = domain.normalizer.normalize(jax.tree.map(stack, *(row["x"] for row in rows)))
    if loss_weight_of(rows[0]) is not None:  # what is missing or padding says nothing of the data
        weight = jax.tree.map(stack, *(loss_weight_of(row) for row in rows))
        z = jax.tree.map(lambda leaf, one: leaf[np.broadcast_to(one > 0, leaf.shape)], z, weight)
    sigma = jax.tree.map(float, measure_sigma_data(z))
    if not all(math.isfinite(value) and value > 0 for value in jax.tree.leaves(sigma)):
        bad = [
            i
            for i in range(len(dataset))
            if not all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(dataset[i]["x"]))
        ]
        if not bad:
            raise UserError(f"data: normalised training samples have standard deviation {sigma}; expected about 1: see `normalizer`")
        raise UserError(
            f"data: training samples {bad[:8]} are not finite, so sigma_data = {sigma}; mend them, or add --config.denoiser.sigma_data=1"
        )
    return sigma


def loss_weight_of(element):
    """How much each entry of a training element, or batch, counts in the loss; None where all count the same."""
    if "counted" in element:
        warnings.warn('the key "counted" of a data set is now "loss_weight"', DeprecationWarning, 2)
    return element.get("loss_weight", element.get("counted"))


def make_denoiser(config, domain: Domain, sigma_data) -> NetworkDenoiser:
    """A fresh denoiser: the domain's network behind the preconditioning of config.denoiser."""
    denoiser = around(split(make_module(config, domain)), config, domain, sigma_data)
    with _of_network():
        jax.eval_shape(lambda x, cond: denoiser(x, 0.5, cond), *_one_each(domain.example, domain.cond_example))
    return denoiser


def make_module(config, domain: Domain) -> nnx.Module:
    """A fresh network of config.network."""
    rngs = nnx.Rngs(config.seed)
    if hasattr(domain, "network"):  # a domain of version 0.1 makes its network itself
        return domain.network(config.network, rngs)
    return make_network(config.network, domain.networks, domain.network_inputs, rngs)


def around(network: Network, config, domain: Domain, sigma_data, grid=()) -> NetworkDenoiser:
    """The denoiser of a network, fresh or restored: the process and preconditioning of the config; grid: rows of its own, if it has any."""
    own = Logistic(tuple(map(tuple, grid))) if grid else None
    with _of_network():
        return NetworkDenoiser(network, make_process(config, domain.noise), config.denoiser.prediction, sigma_data, own)


def check_denoiser(config, kind: type[Domain], outline: Outline) -> None:
    """That a network of config.network takes samples of this outline, and the loss of config.objective the network; no array is made.

    Raises: UserError that names the part at fault.
    """
    process, objective = make_process(config, White()), make_objective(config)

    def make():
        network = split(make_network(config.network, kind.networks, outline.network_inputs, nnx.Rngs(0)))
        return NetworkDenoiser(network, process, config.denoiser.prediction)

    examples = _one_each(outline.example, outline.cond_example)
    try:
        jax.eval_shape(lambda x, cond: objective(make(), jax.random.key(0), x, cond), *examples)
    except (AttributeError, TypeError, ValueError) as error:
        with _of_network():
            jax.eval_shape(lambda x, cond: make()(x, 0.5, cond), *examples)
        raise UserError(f"config.objective does not go with this network and these samples: {str(error).splitlines()[0]}") from error


@contextlib.contextmanager
def _of_network():
    try:
        yield
    except ValueError as error:
        raise UserError(f"config.network, config.denoiser: {error}") from error


def _one_each(*examples):
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((1, *leaf.shape), leaf.dtype), examples)


def make_objective(config) -> Objective:
    """The loss of config.objective.{weighting, times, levels}."""
    try:
        return Objective(config.objective.weighting, config.objective.times, config.objective.levels)
    except ValueError as error:
        raise UserError(f"config.objective: {error}") from error


def make_optimizer(config) -> optax.GradientTransformation:
    """Adam with clipping and decoupled weight decay; the learning rate multiplies in `train_step`, which knows the progress."""
    return optax.chain(
        optax.clip_by_global_norm(config.training.grad_clip),
        optax.scale_by_adam(b2=0.99),
        optax.add_decayed_weights(config.training.weight_decay),
    )


def initial_state(config, denoiser: NetworkDenoiser) -> TrainState:
    """The state before the first step."""
    params = denoiser.network.params
    # A buffer given away to the first step may not stand in the state twice.
    ema = jax.tree.map(jnp.copy, params)
    return TrainState(jnp.int32(0), params, ema, make_optimizer(config).init(params), jnp.int32(-1))


def learning_rate(config, step, progress, peak=1.0, warm_from=0.0):
    """Linear over the `warmup` steps from `warm_from` on, then a cosine to zero at progress = 1, of a leg of the budget (`budget.Leg`)."""
    warmup = jnp.minimum(1.0, (step - warm_from + 1) / max(config.training.warmup, 1))
    return config.training.learning_rate * warmup * 0.5 * (1.0 + jnp.cos(math.pi * jnp.clip(progress, 0.0, 1.0))) * peak


def make_train_step(config, domain: Domain, denoiser: NetworkDenoiser, mesh=None):
    """A pure function (state, batch in physical units, progress, peak, warm_from) -> (state, metrics); see `learning_rate`, `make_loss`."""
    loss_and_gradient = make_loss(config, make_objective(config), mesh)
    optimizer, training, key = make_optimizer(config), config.training, jax.random.key(config.seed)

    def train_step(state: TrainState, batch, progress, peak=1.0, warm_from=0.0):
        step_key = jax.random.fold_in(key, state.step)
        x_0, cond = domain.normalizer.normalize(batch["x"]), batch.get("cond")
        loss_weight = loss_weight_of(batch)
        if cond is not None and training.cond_dropout > 0:
            size = jax.tree.leaves(x_0)[0].shape[0]
            drop = jax.random.bernoulli(jax.random.fold_in(step_key, 1), training.cond_dropout, (size,))
            cond = cond | {"keep": 1.0 - drop}

        loss, gradient = loss_and_gradient(state.params, denoiser, jax.random.fold_in(step_key, 0), x_0, cond, loss_weight)
        norm, rate = optax.global_norm(gradient), learning_rate(config, state.step, progress, peak, warm_from)
        updates, opt_state = optimizer.update(gradient, state.opt_state, state.params)
        params = jax.tree.map(lambda p, u: p - rate * u, state.params, updates)
        decay = jnp.minimum(training.ema, (1.0 + state.step) / (10.0 + state.step))
        ema = optax.incremental_update(params, state.ema, 1.0 - decay)

        # From the first loss that is not finite on nothing moves any more: the loop finds out later, without a sync per step.
        fine = jnp.isfinite(loss) & jnp.isfinite(norm) & (state.bad_step < 0)
        bad_step = jnp.where(fine | (state.bad_step >= 0), state.bad_step, state.step)
        keep = lambda new, old: jax.tree.map(lambda a, b: jnp.where(fine, a, b), new, old)  # noqa: E731
        new = TrainState(
            state.step + 1,
            keep(params, state.params),
            keep(ema, state.ema),
            keep(opt_state, state.opt_state),
            bad_step.astype(jnp.int32),
        )
        return new, {"loss": loss, "grad_norm": norm, "learning_rate": rate, "bad_step": new.bad_step}

    return train_step
