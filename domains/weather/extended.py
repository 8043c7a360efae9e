"""Forecasts beyond a window: hours ahead, a country wide, and of what hardly ever happens."""

import dataclasses
from functools import cached_property

import jax
import jax.numpy as jnp
import numpy as np

from domains.weather import generate
from domains.weather.given_tasks import TakesPast
from domains.weather.rewards import make_rewards
from domains.weather.tasks import WeatherTask, with_past
from domains.weather.transform import decode, encode
from sciddm import particles
from sciddm.keys import seed_of
from sciddm.memory import check_memory
from sciddm.named import near
from sciddm.rewards.reward import get_reward
from sciddm.tasks import Population, Problem, Rollout, Wide, need


class Longer(TakesPast, WeatherTask):
    """Shared by the tasks that are not one window of the guided denoiser: baselines of a nowcast, as far as the truth goes."""

    def problem(self, key, example):
        return dataclasses.replace(super().problem(key, example), extras={"seed": seed_of(key)})

    def baseline(self, problem):
        """Those of a nowcast."""
        count = problem.truth.shape[-1] - self.domain.past
        answers = self.classical(problem.truth, count, problem.extras["seed"])
        return {name: with_past(problem.truth, answer, self.domain) for name, answer in answers.items()}


class RainRollout(Longer, Rollout):
    """Hours ahead: windows of future frames, each conditioned on the last frames of the one before."""

    @classmethod
    def check(cls, config, options):
        super().check(config, options)
        answer = 4.0 * config.data.size**2 * (config.data.past + options["windows"] * config.data.future)
        check_memory(answer, f"config.tasks.rollout.windows = {options['windows']}", "take fewer windows")

    @property
    def answered(self):
        return self.length

    def examples(self):
        """Held-out windows and what came after them: the made rain goes on, an archive has what it has."""
        domain, places = self.domain, self.domain.windows("test")

        def make(i):
            first, y, x = places[i]
            if not domain.from_files:
                event, start = domain.event_of("test", i)
                frames = generate.Event(self.domain.seed, event, domain.size).frames(start + self.length)[start:]
            else:
                last = next(stop for begin, stop in domain.archive.events() if begin <= first < stop)
                crop = slice(y, y + domain.size), slice(x, x + domain.size)
                frames = domain.archive.dBZ(slice(first, min(first + self.length, last)), *crop)
            return {"x": encode(np.moveaxis(frames, 0, -1))}

        return Examples(len(places), make)

    def as_data(self, x):
        # Through dBZ, so that no echo is exactly that, as in all windows that the network was conditioned on in training.
        return encode(decode(x))


class WideRain(Longer, Wide):
    """A domain many times the training crop, by windows that agree at every step of the way.

    size: pixels a side, at most; periodic: the last column touches the first, as longitudes of the globe do; others: of `Wide`.
    """

    whole = True

    def __init__(self, domain, *, size: int = 192, **wide):
        super().__init__(domain, **wide)
        self.size = size

    @classmethod
    def check(cls, config, options):
        super().check(config, options)
        need(options, "size", options["size"] >= config.data.size, f"at least config.data.size = {config.data.size}")
        answer = 4.0 * options["size"] ** 2 * (config.data.past + config.data.future)
        check_memory(answer, f"config.tasks.wide.size = {options['size']}", "take fewer pixels a side")

    def examples(self):
        """The held-out frames of an archive on its whole grid, up to `size`; of made rain other events, as wide as that."""
        domain, wide = self.domain, self.size
        if not domain.from_files:
            first = len(domain.archive.events())  # none that the network has seen a part of

            def make(i):
                frames = generate.Event(self.domain.seed, first + i, wide + wide % 2).frames(domain.length)
                return {"x": encode(np.moveaxis(frames, 0, -1))}

            return Examples(64, make)
        times = np.unique(domain.windows("test")[:, 0])
        across = slice(None) if self.periodic else slice(0, wide)

        def cut(i):
            frames = domain.archive.dBZ(slice(times[i], times[i] + domain.length), slice(0, wide), across)
            return {"x": encode(np.moveaxis(frames, 0, -1))}

        return Examples(len(times), cut)


class Extreme(Longer, Population):
    """How probable is heavy rain, and what would it look like? Particles steered into the event that a reward exceeds a threshold.

    reward: a name of domains/weather/rewards.py; threshold: in its units, above 0; num_particles: for every four members; others: of
    `Population`.
    """

    def __init__(
        self, domain, *, reward: str = "last rain", threshold: float = 2.0, num_particles: int = 32, **population
    ):
        super().__init__(domain, num_particles=num_particles, **population)
        self.reward, self.threshold = reward, threshold
        get_reward(domain, reward)  # for what it refuses

    @classmethod
    def check(cls, config, options):
        super().check(config, options)
        need(options, "threshold", 0 < options["threshold"] < np.inf, "a number above 0")
        names = make_rewards(None)  # of a domain of one's own the constructor asks
        fine = options["reward"] in names or config.domain != "domains.weather"
        need(options, "reward", fine, f"one of {sorted(names)}{near(options['reward'], names)}")

    def problem(self, key, example):
        return Problem(self.event, example, cond=self.condition(example), extras={"seed": seed_of(key)})

    @cached_property
    def event(self) -> particles.Exceeds:
        """log reward(x) > log threshold, of normalised x_0; one object, so that problems share one compiled program.

        The same event as of the reward itself. But rain is more like the exponential of a Gaussian than like one, and the twist that
        steers towards the event takes its statistic for Gaussian.
        """
        function, normalizer = get_reward(self.domain, self.reward).function, self.domain.normalizer
        threshold = jnp.log(jnp.asarray(self.threshold, jnp.float32))
        return particles.Exceeds(lambda z: jnp.log(jnp.maximum(function(normalizer.denormalize(z)), 1e-6)), threshold)

    def event_given(self):
        return self.event

    def solve(self, model, key, problem, members, progress=False, **options):
        result = self.run(model, key, problem, self.num_particles * max(-(-members // 4), 1), **options)
        if np.isfinite(result.log_evidence):
            drawn = result.resampled(jax.random.fold_in(key, 1), members)
        else:  # nowhere near: those that came nearest, and `share beyond` says that they did not arrive
            drawn = result.particles[jnp.argsort(-problem.observation.statistic(result.particles))[:members]]
        return self.physical(drawn)

    def metrics(self, samples, problem):
        name, threshold = self.reward, self.threshold
        value = np.asarray(get_reward(self.domain, name).function(jnp.asarray(samples)))
        beyond = {name: float(value.mean()), "share beyond": float((value > threshold).mean())}
        return beyond | super().metrics(samples, problem)


class Examples:
    """A sequence of {"x": ...} made when they are asked for."""

    def __init__(self, count: int, make):
        self.count, self.make = count, make

    def __len__(self):
        return self.count

    def __getitem__(self, i):
        if not 0 <= i < self.count:
            raise IndexError(i)
        return self.make(i)
