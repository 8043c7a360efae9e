"""Forecasts beyond a window: hours ahead, a country wide, and of what hardly ever happens."""

from functools import cached_property

import jax
import jax.numpy as jnp
import numpy as np

from domains.weather import generate
from domains.weather.tasks import WeatherTask, seed_of, with_past
from domains.weather.transform import decode, encode
from sciddm import lookahead, particles
from sciddm.domain import Problem, get_reward
from sciddm.errors import UserError
from sciddm.rollout import rollout
from sciddm.sample import sample


class Longer(WeatherTask):
    """Shared by the tasks that are not one window of the guided denoiser, with the run's own solver, steps and grid."""

    sampling: dict = {}

    def baseline(self, problem):
        """Those of a nowcast, as far as the truth goes."""
        count = problem.truth.shape[-1] - self.domain.past
        answers = self.classical(problem.truth, count, problem.extras["seed"])
        return {name: with_past(problem.truth, answer, self.domain) for name, answer in answers.items()}


class Rollout(Longer):
    """Hours ahead: `data.windows` windows of future frames, each told the last frames of the one before.

    Frames of the truth that the example does not have are NaN, and are not scored.
    """

    def __init__(self, domain, data):
        super().__init__(domain, data)
        if data.windows < 1:
            raise UserError(f"config.data.windows = {data.windows}: expected at least 1")
        self.windows = data.windows
        self.length = domain.past + self.windows * domain.future

    def examples(self):
        """Held-out windows and what came after them: the made rain goes on, an archive has what it has."""
        domain, places = self.domain, self.domain.windows("test")

        def make(i):
            first, y, x = places[i]
            if not self.data.path:
                event, start = domain.event_of("test", i)
                frames = generate.Event(self.domain.seed, event, domain.size).frames(start + self.length)[start:]
            else:
                last = next(stop for begin, stop in domain.archive.events() if begin <= first < stop)
                crop = slice(y, y + domain.size), slice(x, x + domain.size)
                frames = domain.archive.dBZ(slice(first, min(first + self.length, last)), *crop)
            return {"x": encode(np.moveaxis(frames, 0, -1))}

        return Examples(len(places), make)

    def problem(self, key, example):
        seen = self.condition(example[..., : self.domain.length])
        truth = np.full((*example.shape[:-1], self.length), np.nan, np.float32)
        known = min(self.length, example.shape[-1])
        truth[..., :known] = example[..., :known]
        return Problem(seen["concat"][0], truth, cond=seen, extras={"seed": seed_of(key)})

    def solve(self, model, key, problem, members, progress=False, **options):
        domain, past = self.domain, self.domain.past

        def advance(z):
            # Through dBZ, so that no echo is exactly that, as in all that the network was told in training.
            x = encode(decode(domain.normalizer.denormalize(z[..., -past:])))
            return {"concat": jnp.concatenate([domain.normalizer.normalize(x), jnp.ones_like(x)], -1)}

        def windows(keys, denoiser, shape, *, cond, **options):
            cond = jax.tree.map(lambda leaf: jnp.repeat(jnp.asarray(leaf), len(keys), 0), cond)
            z, info = rollout(keys, denoiser, shape, cond=cond, advance=advance, windows=self.windows, **options)
            parts = [z[:, 0, ..., :past], *(z[:, i, ..., past:] for i in range(self.windows))]
            return jnp.concatenate(parts, -1), info

        return model.draw(key, members, cond=problem.cond, sampler=windows, progress=progress, **options)


class Wide(Longer):
    """A domain many times the training crop, by windows that agree at every step of the way.

    `data.wide`: pixels a side, at most; `data.periodic`: the last column touches the first, as longitudes of the globe do.
    """

    def __init__(self, domain, data):
        super().__init__(domain, data)
        if data.wide < domain.size:
            raise UserError(f"config.data.wide = {data.wide}: expected at least config.data.size = {domain.size}")
        self.periodic, self.stride = bool(data.periodic), max(domain.size * 3 // 4, 1)

    def examples(self):
        """The held-out frames of an archive on its whole grid, up to `data.wide`; of made rain other events, as wide as that."""
        domain, wide = self.domain, self.data.wide
        if not self.data.path:
            first = self.data.events  # none that the network has seen a part of

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

    def problem(self, key, example):
        if min(example.shape[:2]) < self.domain.size:
            raise UserError(
                f"wide: the example has shape {example.shape}; expected at least {self.domain.size} pixels a side"
            )
        seen = self.condition(example)
        return Problem(seen["concat"][0], example, cond=seen, extras={"seed": seed_of(key)})

    def guide(self, denoiser, problem):
        return lookahead.synchronize(denoiser, self.views(problem.truth.shape), chunk=4)

    def views(self, shape):
        """Windows of the training crop's size that cover the domain."""
        return lookahead.patches(shape[:2], self.domain.size, self.stride, (1, 2), (False, self.periodic))

    def solve(self, model, key, problem, members, progress=False, **options):
        views, guided = self.views(problem.truth.shape), self.guide(model.denoiser, problem)

        def whole(keys, denoiser, shape, *, cond, **options):
            past = jnp.repeat(jnp.asarray(cond["concat"]), len(keys), 0)
            return sample(keys, denoiser, shape, cond={"concat": views.project(past)}, **options)

        shape = jax.ShapeDtypeStruct(problem.truth.shape, np.float32)
        return model.draw(
            key, members, denoiser=guided, cond=problem.cond, shape=shape, sampler=whole, progress=progress, **options
        )  # fmt: skip


class Extreme(Longer):
    """How probable is heavy rain, and what would it look like? Particles steered into the event that a reward exceeds a threshold.

    `data.extreme`: the reward, and its threshold in the reward's units, above 0. Ancestral steps, 40 where nothing else is said: steps
    must have a density.
    """

    def __init__(self, domain, data):
        super().__init__(domain, data)
        if not data.extreme.threshold > 0:
            raise UserError(f"config.data.extreme.threshold = {data.extreme.threshold}: expected a number above 0")

    def problem(self, key, example):
        seen = self.condition(example)
        return Problem(self.event, example, cond=seen, extras={"seed": seed_of(key)})

    @cached_property
    def event(self) -> particles.Exceeds:
        """log reward(x) > log threshold, of normalised x_0; one object, so that problems share one compiled program.

        The same event as of the reward itself. But rain is more like the exponential of a Gaussian than like one, and the twist that
        steers towards the event takes its statistic for Gaussian.
        """
        function, normalizer = get_reward(self.domain, self.data.extreme.reward).function, self.domain.normalizer
        threshold = jnp.log(jnp.asarray(self.data.extreme.threshold, jnp.float32))
        return particles.Exceeds(lambda z: jnp.log(jnp.maximum(function(normalizer.denormalize(z)), 1e-6)), threshold)

    def run(self, model, key, problem, num_particles: int = 128, steps: int = 40) -> particles.Result:
        """`particles.smc` into the event: exp(log_evidence) is its probability, `resampled` gives examples of it."""
        return particles.smc(
            key, model.denoiser, problem.observation, self.domain.example, num_particles=num_particles, cond=problem.cond,
            steps=steps, chunk=min(num_particles, 32),
        )  # fmt: skip

    def solve(self, model, key, problem, members, progress=False, steps=40, **options):
        result = self.run(model, key, problem, 32 * max(-(-members // 4), 1), steps)
        if np.isfinite(result.log_evidence):
            drawn = result.resampled(jax.random.fold_in(key, 1), members)
        else:  # nowhere near: those that came nearest, and `share beyond` says that they did not arrive
            drawn = result.particles[jnp.argsort(-problem.observation.statistic(result.particles))[:members]]
        return np.asarray(self.domain.normalizer.denormalize(drawn))

    def metrics(self, samples, problem):
        name, threshold = self.data.extreme.reward, self.data.extreme.threshold
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
