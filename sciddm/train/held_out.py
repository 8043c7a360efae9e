"""How well does it denoise what it was not trained on? The loss by noise level, with the same few draws whenever it is asked."""

import math

import jax
import jax.numpy as jnp
import numpy as np

from sciddm.keys import sample_keys
from sciddm.train.gradient import with_params
from sciddm.train.sharding import place
from sciddm.train.state import loss_weight_of, make_objective

LEVELS = 8
RATIO = 1.3  # from one look to the next, in steps


class HeldOut:
    """Losses of held-out samples at `LEVELS` noise levels, quantiles of those that are trained on, by the averaged weights.

    The mean over levels is the training loss of held-out samples, but for the few draws, which are always the same: differences
    between two steps, or two runs on the same data, are far more exact than the loss itself.
    """

    def __init__(self, config, domain, denoiser, sharding):
        dataset, self._objective = domain.dataset("test"), make_objective(config)
        self.count = samples(config, len(sharding.device_set)) if len(dataset) else 0
        self._log_every = config.training.log_every
        if not self.count:
            return
        elements = [dataset[i % len(dataset)] for i in range(self.count)]
        batch = jax.tree.map(lambda *leaves: np.stack(leaves), *elements)
        self._batch = place(batch, jax.tree.map(lambda _: sharding, batch))
        self._times = self._levels(denoiser)
        ratio = denoiser.process.sigma(self._times) / denoiser.process.alpha(self._times)
        self.noise = [f"{value:.3g}" for value in np.asarray(ratio)]
        self._losses = jax.jit(self._make_losses(domain, denoiser))

    def _levels(self, denoiser):
        # the middle of each eighth of the training law
        t = self._objective.sample_times(jax.random.key(0), 4096, denoiser.process, denoiser.sigma_data)
        return jnp.sort(t)[(2 * np.arange(LEVELS) + 1) * len(t) // (2 * LEVELS)]

    def _make_losses(self, domain, denoiser):
        def losses(params, batch):
            x_0, model = domain.normalizer.normalize(batch["x"]), with_params(denoiser, params)

            def at(level):
                keys = sample_keys(jax.random.fold_in(jax.random.key(0), level), self.count)
                t = jnp.full((self.count,), self._times[level])
                return self._objective.at(model, keys, t, x_0, batch.get("cond"), loss_weight_of(batch))

            return jax.lax.map(at, jnp.arange(LEVELS))

        return losses

    def due(self, step: int) -> bool:
        """At steps that are logged, and of these ever more rarely."""

        def place(step):
            return math.floor(math.log(step / self._log_every) / math.log(RATIO) + 1e-9) if step > 0 else -1

        return bool(self.count) and step % self._log_every == 0 and place(step) > place(step - self._log_every)

    def compile(self, params) -> None:
        """Before the first look: takes its time."""
        if self.count:
            self._losses = self._losses.lower(params, self._batch).compile()

    def look(self, params, step: int) -> dict:
        """For the checkpoint: step, loss, error (of its mean), levels: noise (sigma / alpha) -> loss, each: the loss of every sample."""
        found = np.asarray(self._losses(params, self._batch), np.float64)
        each = found.mean(0)
        return {
            "step": step, "loss": float(each.mean()), "error": float(each.std(ddof=1) / len(each) ** 0.5) if len(each) > 1 else 0.0,
            "levels": dict(zip(self.noise, map(float, found.mean(1)), strict=True)), "each": [float(f"{one:.6g}") for one in each],
        }  # fmt: skip


def samples(config, devices: int) -> int:
    """How many are looked at, as many as asked for or up to `devices` - 1 more: the same number on each device."""
    return -(-min(config.training.held_out, max(config.training.batch_size, devices)) // devices) * devices


def as_metrics(look: dict) -> dict[str, float]:
    """A look as numbers by name, for metrics.jsonl and TensorBoard."""
    levels = {f"held_out/noise {noise}": loss for noise, loss in look["levels"].items()}
    return {"held_out/loss": look["loss"], "held_out/error": look["error"]} | levels
