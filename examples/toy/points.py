"""The whole of a domain: points of two clusters in the plane, a small network, one task. sciddm needs nothing more.

    sciddm train --config examples/toy/config.py --workdir runs/toy
    PYTHONPATH=examples/toy sciddm evaluate --workdir runs/toy
"""

import grain
import jax
import matplotlib.pyplot as plt
import numpy as np
from flax import nnx

import sciddm as sd
from sciddm.networks.layers import Linear, NoiseEmbedding


class Net(nnx.Module):
    """network(x, noise_level, cond) -> like x, (B, 2). Its keyword arguments are keys of config.network."""

    def __init__(self, width: int = 32, *, rngs: nnx.Rngs):
        self.noise, self.inside = NoiseEmbedding(width, rngs=rngs), Linear(2, width, rngs=rngs)
        self.middle, self.out = Linear(width, width, rngs=rngs), Linear(width, 2, rngs=rngs)

    def __call__(self, x, noise_level, cond=None):
        h = jax.nn.silu(self.inside(x) + self.noise(noise_level))
        return self.out(jax.nn.silu(self.middle(h)))


class Half(sd.tasks.Steered):
    """The first coordinate is measured. noise_std: how well, in metres; its keyword arguments are keys of config.tasks.half."""

    def __init__(self, domain, *, noise_std: float = 0.1, method: str = "pigdm", **steered):
        super().__init__(domain, method=method, **steered)
        self.noise_std = noise_std

    @classmethod
    def check(cls, config, options):
        super().check(config, options)
        sd.tasks.need(options, "noise_std", options["noise_std"] > 0, "a number of metres above 0")

    given_names = ("x",)
    takes = "x=METRES, the first coordinate, such as x=2.5"

    def problem(self, key, example):
        return sd.Problem(self.measured(example[0]), example)

    def measured(self, x):
        normal = self.domain.normalizer.normalize(np.float32([x]))
        return sd.lookahead.Observation(lambda z: z[:, :1], normal, self.noise_std / self.domain.normalizer.std)

    def problem_given(self, key, given):
        if len(given) != 1 or given[0].name != "x":
            return super().problem_given(key, given)  # which refuses it
        try:
            x = float(given[0].value)
        except ValueError as error:
            raise sd.UserError(f"--given {given[0]}: expected a number of metres") from error
        return sd.Problem(self.measured(x), extras={"title": f"x = {x:g} m"})

    def write_given(self, problem, folder):
        return [f"x={float(problem.truth[0])!r}"]

    def baseline(self, problem):
        """`mean`: of the data, which knows nothing of the measurement."""
        return {"mean": np.broadcast_to(self.domain.normalizer.mean, (2,)).astype(np.float32)}

    def metrics(self, samples, problem):
        return {"error of the measured [m]": float(np.abs(samples[..., 0] - problem.truth[0]).mean())}

    def plot(self, samples, problem, answers):
        figure, axes = plt.subplots(layout="constrained")
        axes.plot(*np.asarray(samples).T, "o", label="members")
        if problem.truth is not None:
            axes.axvline(problem.truth[0], color="black", label="measured")
            axes.plot(*problem.truth, "k*", ms=14, label="truth")
        axes.set_title((problem.extras or {}).get("title", ""))
        for name, answer in answers.items():
            axes.plot(*np.atleast_2d(answer).T, "x", label=name)
        axes.set(xlabel="first coordinate [m]", ylabel="second coordinate [m]")
        axes.legend()
        return figure


class Points(sd.Domain):
    """Points (x, y) in metres of two clusters, at (3, 3) and (-1, -1)."""

    name, suffix, networks, task_types = "points", ".npy", {"net": Net}, {"half": Half}

    example, noise = jax.ShapeDtypeStruct((2,), np.float32), sd.White()
    rewards = {
        "right": sd.Reward(lambda x: x[:, 0], "m", held_out="up"),
        "up": sd.Reward(lambda x: x[:, 1], "m", held_out="right", scale=0.5),
    }

    def __init__(self, config, stored=None):
        rng = np.random.default_rng(config.seed)
        centres = 1.0 + 2.0 * rng.choice([-1.0, 1.0], (config.data.count, 1))
        self.points = (centres + 0.3 * rng.normal(size=(config.data.count, 2))).astype(np.float32)
        # statistics of the data: here they are known, elsewhere measured where `stored` is None
        self.normalizer = sd.Normalizer(np.float32(1.0), np.float32(2.0), "m")

    @classmethod
    def check(cls, config):
        if config.data.count < 2:
            raise sd.UserError(f"config.data.count = {config.data.count}: expected at least 2")

    @classmethod
    def outline(cls, config):
        return sd.Outline(cls.example)

    def dataset(self, split):
        held_out = max(len(self.points) // 8, 1)
        part = self.points[:-held_out] if split == "train" else self.points[-held_out:]
        return grain.MapDataset.source(part).map(lambda x: {"x": x})

    def to_native(self, x, cond=None):
        return np.asarray(x)

    def from_native(self, native):
        return native

    def save(self, samples, path):
        with open(path, "wb") as file:
            np.save(file, samples)

    def plot(self, samples):
        figure, axes = plt.subplots(layout="constrained")
        axes.plot(*np.asarray(samples).T, "o")
        axes.set(xlabel="first coordinate [m]", ylabel="second coordinate [m]")
        return figure

    def metrics(self, samples, reference):
        count = min(len(samples), len(reference))
        return {"sliced Wasserstein [m]": sd.metrics.sliced_wasserstein(samples[:count], reference[:count])}
