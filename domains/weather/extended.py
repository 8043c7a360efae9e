"""Forecasts beyond a window: hours ahead, a country wide, and of what hardly ever happens."""

from functools import cached_property

import jax
import jax.numpy as jnp
import numpy as np

from domains.weather import baselines, generate
from domains.weather.tasks import WeatherTask, has_pysteps, past_of, with_past
from domains.weather.transform import decode, encode
from sciddm import lookahead, particles
from sciddm.domain import Problem, get_reward
from sciddm.errors import UserError
from sciddm.rollout import rollout
from sciddm.sample import sample


class Longer(WeatherTask):
    """Shared by the tasks whose answers are not of a window's size: they are sampled with the run's solver, steps and grid."""

    def __init__(self, domain, data):
        super().__init__(domain, data)
        self.sampling = {}

    def options(self, model, given):
        """Those of `sd.sample`: what the caller says, else what the config says."""
        settings = model.config.sampling
        return {"solver": settings.solver, "steps": settings.steps, "grid": settings.grid} | given

    def baseline(self, problem):
        """persistence, and with pysteps optical-flow extrapolation."""
        past, count = past_of(problem.truth, self.domain), problem.truth.shape[-1] - self.domain.past
        answers = {"persistence": baselines.persistence(past, count)}
        if has_pysteps():
            answers["extrapolation"] = baselines.extrapolation(past, count)
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

    def problem(self, key, example):
        seen = self.condition(example[..., : self.domain.length])
        length = self.domain.past + self.windows * self.domain.future
        truth = np.full((*example.shape[:-1], length), np.nan, np.float32)
        known = min(length, example.shape[-1])
        truth[..., :known] = example[..., :known]
        return Problem(seen["concat"][0], truth, cond=seen)

    def solve(self, model, key, problem, members, **options):
        domain, past = self.domain, self.domain.past

        def advance(z):
            # Through dBZ, so that no echo is exactly that, as in all that the network was told in training.
            x = encode(decode(domain.normalizer.denormalize(z[..., -past:])))
            return {"concat": jnp.concatenate([domain.normalizer.normalize(x), jnp.ones_like(x)], -1)}

        shape = (members, *domain.example.shape)
        cond = jax.tree.map(lambda leaf: jnp.repeat(jnp.asarray(leaf), members, 0), problem.cond)
        windows, _ = rollout(
            key, model.denoiser, shape, cond=cond, advance=advance, windows=self.windows, **self.options(model, options)
        )
        x = np.asarray(domain.normalizer.denormalize(windows))
        parts = [x[:, 0, ..., :past], *(x[:, i, ..., past:] for i in range(self.windows))]
        return np.concatenate(parts, -1)


class Wide(Longer):
    """A domain many times the training crop, `data.wide` pixels a side, by windows that agree at every step of the way.

    The wide truth is the whole grid of an archive of one's own where it is wider, else an event of the made rain, drawn with the key.
    `data.periodic`: the last column touches the first, as longitudes of the globe do.
    """

    def __init__(self, domain, data):
        super().__init__(domain, data)
        self.periodic, self.stride = data.periodic, max(domain.size * 3 // 4, 1)

    def problem(self, key, example):
        domain = self.domain
        if example.shape[0] == domain.size and not self.data.path:
            seed = int(jax.random.randint(key, (), 0, 2**31 - 1))
            frames = generate.Event(seed, 0, max(self.data.wide, domain.size)).frames(domain.length)
            example = encode(np.moveaxis(frames, 0, -1))
        if min(example.shape[:2]) < domain.size:
            raise UserError(
                f"wide: the example has {example.shape[0]} x {example.shape[1]} pixels; expected at least {domain.size}"
            )
        seen = self.condition(example)
        return Problem(seen["concat"][0], example, cond=seen)

    def guide(self, denoiser, problem):
        return lookahead.synchronize(denoiser, self.views(problem.truth.shape), chunk=4)

    def views(self, shape):
        """Windows of the training crop's size that cover the domain."""
        return lookahead.patches(shape[:2], self.domain.size, self.stride, (1, 2), (False, bool(self.periodic)))

    def solve(self, model, key, problem, members, **options):
        views = self.views(problem.truth.shape)
        whole = jnp.repeat(jnp.asarray(problem.cond["concat"]), members, 0)
        cond = {"concat": views.project(whole)}
        guided = self.guide(model.denoiser, problem)
        x, _ = sample(key, guided, (members, *problem.truth.shape), cond=cond, **self.options(model, options))
        return np.asarray(self.domain.normalizer.denormalize(x))


class Extreme(Longer):
    """How probable is heavy rain, and what would it look like? Particles steered into the event that a reward exceeds a threshold.

    `data.extreme`: the reward, and its threshold in the reward's units.
    """

    def __init__(self, domain, data):
        super().__init__(domain, data)
        self.reward, self.threshold = data.extreme.reward, data.extreme.threshold

    def problem(self, key, example):
        seen = self.condition(example)
        return Problem(self.event, example, cond=seen)

    @cached_property
    def event(self) -> particles.Exceeds:
        """reward(x) > threshold, of normalised x_0; one object, so that problems share one compiled program."""
        function = get_reward(self.domain, self.reward).function
        normalizer = self.domain.normalizer
        return particles.Exceeds(
            lambda z: function(normalizer.denormalize(z)), jnp.asarray(self.threshold, jnp.float32)
        )

    def run(self, model, key, problem, num_particles: int = 64, steps: int = 40) -> particles.Result:
        """`particles.smc` into the event: exp(log_evidence) is its probability, `result.draw` examples of it."""
        return particles.smc(
            key,
            model.denoiser,
            problem.observation,
            self.domain.example,
            num_particles=num_particles,
            cond=problem.cond,
            steps=steps,
        )

    def solve(self, model, key, problem, members, **options):
        result = self.run(
            model, key, problem, max(8 * members, 32), **{k: v for k, v in options.items() if k == "steps"}
        )
        if np.isfinite(result.log_evidence):
            drawn = result.resampled(jax.random.fold_in(key, 1), members)
        else:  # nowhere near: those that came nearest, and `share beyond` says that they did not arrive
            drawn = result.particles[jnp.argsort(-problem.observation.statistic(result.particles))[:members]]
        return np.asarray(self.domain.normalizer.denormalize(drawn))

    def metrics(self, samples, problem):
        value = self.domain.rewards[self.reward].function(jnp.nan_to_num(jnp.asarray(samples), nan=0.0))
        return {
            f"{self.reward}": float(value.mean()),
            "share beyond": float((value > self.threshold).mean()),
        } | super().metrics(samples, problem)
