"""The whole of a domain: points of a mixture in the plane and a small network. The core needs nothing more."""

import grain
import jax
import matplotlib.pyplot as plt
import numpy as np
from flax import nnx

import sciddm as sd
from sciddm.config import base_config
from sciddm.domain import Reward
from sciddm.networks.layers import Linear, NoiseEmbedding


class Net(nnx.Module):
    def __init__(self, width, rngs):
        self.noise, self.inside = NoiseEmbedding(width, rngs=rngs), Linear(2, width, rngs=rngs)
        self.middle, self.out = Linear(width, width, rngs=rngs), Linear(width, 2, rngs=rngs)

    def __call__(self, x, noise_level, cond=None):
        h = jax.nn.silu(self.inside(x) + self.noise(noise_level))
        return self.out(jax.nn.silu(self.middle(h)))


class Half(sd.Task):
    """The first coordinate is seen."""

    def problem(self, key, example):
        return sd.Problem(sd.lookahead.Observation(lambda x: x[:, :1], (example[:1] - 1.0) / 2.0, 0.05), example)

    def guide(self, denoiser, problem):
        return sd.lookahead.pigdm(denoiser, problem.observation)

    def baseline(self, problem):
        return {"mean": np.ones_like(problem.truth)}

    def metrics(self, samples, problem):
        return {"error of the seen": float(np.abs(samples[..., 0] - problem.truth[0]).mean())}

    def plot(self, samples, problem):
        return plt.figure()


class Toy(sd.Domain):
    name, example, noise, tasks = "toy", jax.ShapeDtypeStruct((2,), np.float32), sd.White(), {"half": Half()}
    rewards = {
        "right": Reward(lambda x: x[:, 0], "m", held_out="up"),
        "up": Reward(lambda x: x[:, 1], "m", held_out="right", scale=0.5),
    }
    normalizer = sd.Normalizer(np.float32(1.0), np.float32(2.0), "m")

    def __init__(self, config):
        rng = np.random.default_rng(config.seed)
        self.points = (1.0 + 2.0 * rng.choice([-1.0, 1.0], (256, 1)) + 0.3 * rng.normal(size=(256, 2))).astype(
            np.float32
        )
        if (index := config.data.get("nan_at", -1)) >= 0:
            self.points[index] = np.nan

    def dataset(self, split):
        return grain.MapDataset.source(self.points).map(lambda x: {"x": x})

    def network(self, config, rngs):
        return Net(config.width, rngs)

    def to_native(self, x, cond=None):
        return np.asarray(x)

    def from_native(self, native):
        return native

    def save(self, samples, path):
        np.save(path, samples)

    def plot(self, samples):
        return plt.figure()

    def metrics(self, samples, reference):
        return {"mean": float(np.mean(samples))}


def get_domain(config, normalizer=None):
    return Toy(config)


def toy_config(**training):
    config = base_config()
    config.domain, config.network.width, config.data.nan_at = "toy_domain", 32, -1
    config.checkpoint.every, config.training.log_every, config.training.steps = 20, 10, 60
    config.training.update(training)
    return config
