"""A property predicted from noisy molecules, to steer by: python -m domains.molecules.regressor --workdir RUN

f(x_t, t) = E[property | x_t] and one standard deviation s(t) a noise level, by maximum likelihood: min E [log s + (y - f)^2 / (2 s^2)],
y the normalised property of config.data.property. Kept beside the run as arrays, regressor.npz.
"""

import argparse
import json
import os
import sys
import time
import zipfile
import zlib
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from domains.molecules.layout import ORDERS
from sciddm.activity import Bar
from sciddm.arithmetic import expand
from sciddm.data.reading import check_regular
from sciddm.errors import UserError
from sciddm.networks import EGNN, Network, split
from sciddm.networks.layers import Linear, NoiseEmbedding
from sciddm.process import GaussianProcess
from sciddm.train.data import Batches
from sciddm.train.sharding import batch_sharding, make_mesh

FILE = "regressor.npz"
HIDDEN, LAYERS, LEARNING_RATE = 64, 4, 2e-3
LEVELS = 8.0  # log_snr is drawn evenly from -8 to 8; beyond there is nothing to learn of a property


class Readout(nnx.Module):
    """(x, noise level, mask) -> (B,) mean and (B,) or (1,) log standard deviation: an EGNN, the mean over atoms, and a dense layer."""

    def __init__(self, features: int, pairs: bool, rngs: nnx.Rngs):
        self.body = EGNN(
            features, pair_features=ORDERS * pairs, hidden=HIDDEN, layers=LAYERS, radial=12, neighbours=4.0, rngs=rngs
        )
        self.mean = Linear(features, 1, rngs=rngs)
        self.level, self.spread = NoiseEmbedding(32, rngs=rngs), Linear(32, 1, scale=0.0, rngs=rngs)

    def __call__(self, x, noise_level, mask):
        atoms = self.body(x, noise_level, {"mask": mask})["features"] * mask[..., None]
        mean = self.mean(atoms.sum(1) / jnp.maximum(mask.sum(-1, keepdims=True), 1.0))[:, 0]
        return mean, self.spread(jax.nn.silu(self.level(noise_level)))[:, 0]


class NoisyRegressor(eqx.Module):
    """The regressor behind the input scaling of the denoiser that it was trained beside."""

    network: Network
    process: GaussianProcess
    sigma_data: dict

    def both(self, x_t, t, mask):
        """(B,) mean of the normalised property, and its standard deviation at t, (B,) or (1,). x_t: normalised; mask: (B, n) or (1, n)."""
        alpha, sigma = self.process.alpha(t), self.process.sigma(t)
        scaled = jax.tree.map(
            lambda x, sd: x * expand(jax.lax.rsqrt(alpha**2 * sd**2 + sigma**2), x), x_t, self.sigma_data
        )
        mask = jnp.broadcast_to(mask, x_t["features"].shape[:2])
        mean, log_std = self.network(scaled, -jnp.clip(self.process.log_snr(t), -LEVELS, LEVELS) / 8.0, mask)
        return mean, jnp.exp(jnp.clip(log_std, -5.0, 2.0))


class Mean(eqx.Module):
    """(x_t, t) -> (B,), the function that `sciddm.guidance.regressor` takes."""

    regressor: NoisyRegressor
    mask: jax.Array

    def __call__(self, x_t, t):
        return self.regressor.both(x_t, t, self.mask)[0]


class Spread(eqx.Module):
    """t -> the standard deviation there; blank: an x of zeros, which it does not look at."""

    regressor: NoisyRegressor
    mask: jax.Array
    blank: dict

    def __call__(self, t):
        return self.regressor.both(self.blank, t, self.mask)[1]


def fresh(model, seed: int = 0) -> NoisyRegressor:
    """One that knows nothing yet, for the domain of `model`."""
    layout, denoiser = model.domain.layout, model.denoiser
    sigma_data = denoiser.sigma_data
    if not isinstance(sigma_data, dict):
        sigma_data = dict.fromkeys(model.domain.example, sigma_data)
    return NoisyRegressor(split(Readout(layout.features, layout.pairs, nnx.Rngs(seed))), denoiser.process, sigma_data)


def fit(model, *, steps: int = 3000, batch_size: int = 128, seed: int = 0, progress: bool = True) -> NoisyRegressor:
    """Train one on the training molecules of the run, and write it beside it. A few minutes on 2 cores.

    Raises: UserError if config.data.property is empty, or there are no steps.
    """
    import grain

    if steps < 1:
        raise UserError(f"--steps {steps}: expected 1 or more")

    domain = model.domain
    if not domain.data.property:
        raise UserError(
            "config.data.property is empty: there is nothing to predict; train with one of the data's properties"
        )
    regressor = fresh(model, seed)
    packed, values = domain.packed("train")

    def element(i):
        x = domain.layout.expand(type(packed)(*(column[int(i)] for column in packed)))
        return {"x": x, "mask": domain.layout.mask_of(x), "value": np.float32(values[int(i)])}

    dataset = grain.MapDataset.source(np.arange(len(values))).map(element)
    batches = Batches(dataset, batch_size, seed, batch_sharding(make_mesh(model.config)))
    rate = optax.cosine_decay_schedule(LEARNING_RATE, steps)
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(rate))

    def loss_of(params, batch, key):
        times, noise = jax.random.split(key)
        level = jax.random.uniform(times, (batch_size,), minval=-LEVELS, maxval=LEVELS)
        t = regressor.process.time(level)
        process = GaussianProcess(regressor.process.schedule, domain.noise.given({"mask": batch["mask"]}))
        x_t, _ = process.perturb(noise, domain.normalizer.normalize(batch["x"]), t)
        now = eqx.tree_at(lambda r: r.network, regressor, regressor.network.replace(params))
        mean, std = now.both(x_t, t, batch["mask"])
        return jnp.mean(jnp.log(std) + 0.5 * jnp.square((batch["value"] - mean) / std))

    @jax.jit
    def step(params, state, batch, i):
        loss, gradient = jax.value_and_grad(loss_of)(params, batch, jax.random.fold_in(jax.random.key(seed), i))
        updates, state = optimizer.update(gradient, state, params)
        return optax.apply_updates(params, updates), state, loss

    params = regressor.network.params
    state, stream = optimizer.init(params), batches.from_step(0)
    with Bar(range(steps), desc="regressor", unit="step", disable=not progress) as bar:
        for i in bar:
            params, state, loss = step(params, state, next(stream), i)
            if i % 100 == 99:
                jax.block_until_ready(loss)  # no more than these under way
    if not np.isfinite(float(loss)):
        raise UserError("regressor: the loss is not finite; look at its data with `sciddm info`")
    trained = eqx.tree_at(lambda r: r.network, regressor, regressor.network.replace(params))
    _write(trained, model, Path(model.workdir) / FILE)
    return trained


def load(model) -> NoisyRegressor:
    """The regressor of a run. Raises: UserError if there is none yet, or it is of another property or damaged."""
    path = Path(model.workdir) / FILE
    if not path.exists():
        raise UserError(
            f"{path}: is not there yet; make it with `python -m domains.molecules.regressor --workdir {model.workdir}`"
        )
    blank = fresh(model)
    paths, structure = jax.tree_util.tree_flatten_with_path(blank.network.params)
    check_regular(path)
    try:
        with np.load(path, allow_pickle=False) as stored:
            about = json.loads(str(stored["about"]))
            leaves = [jnp.asarray(stored[jax.tree_util.keystr(place)]) for place, _ in paths]
            of = about["property"]
    except (KeyError, ValueError, TypeError, AttributeError, EOFError, OSError, zipfile.BadZipFile, zlib.error) as error:
        raise UserError(
            f"{path}: can't be read ({type(error).__name__}: {error}); delete it and make it again"
        ) from error
    if of != model.domain.data.property or any(
        a.shape != b.shape for a, (_, b) in zip(leaves, paths, strict=True)
    ):
        raise UserError(
            f"{path}: predicts {of} of another kind of molecule; delete it and make it again"
        )
    return eqx.tree_at(lambda r: r.network, blank, blank.network.replace(structure.unflatten(leaves)))


def _write(regressor: NoisyRegressor, model, path: Path) -> None:
    leaves = jax.tree_util.tree_leaves_with_path(regressor.network.params)
    arrays = {jax.tree_util.keystr(place): np.asarray(leaf) for place, leaf in leaves}
    whole = path.with_name(f".{path.name}.{os.getpid()}.npz")
    np.savez(whole, about=json.dumps({"property": model.domain.data.property, "step": model.step}), **arrays)
    os.replace(whole, path)


def main(argv=None) -> int:
    """Train the regressor of a run."""
    import sciddm

    parser = argparse.ArgumentParser(
        "domains.molecules.regressor", description="Train a regressor on a run's noisy molecules."
    )
    parser.add_argument("--workdir", required=True, type=Path, help="of the training run")
    parser.add_argument("--steps", type=int, default=3000, help="default 3000, a few minutes on 2 cores")
    arguments, start = parser.parse_args(argv), time.monotonic()
    try:
        fit(sciddm.load(arguments.workdir), steps=arguments.steps)
    except UserError as error:
        print(f"regressor: {error}", file=sys.stderr)
        return 2
    print(f"{arguments.workdir / FILE}: {time.monotonic() - start:.0f} s")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
