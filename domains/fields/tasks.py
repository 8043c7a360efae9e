"""What one does with fields: observe them at points, fill what is missing, sharpen block means, forecast, go on, go wider, generate."""

import abc

import jax
import jax.numpy as jnp
import numpy as np

from domains.fields import answers, metrics, plots
from domains.fields.instruments import Scaled, block_means, interpolate
from sciddm import lookahead
from sciddm.errors import UserError
from sciddm.tasks import Generate, Problem, Rollout, Steered, Task, Wide, need


class FieldTask(Steered):
    """Shared by the tasks that observe something: how they are scored and drawn, and what a model is given besides.

    noise: standard deviation of what is observed, as a share of each variable's own; others: of `Steered`.
    """

    def __init__(self, domain, *, noise: float = 0.05, **steered):
        super().__init__(domain, **steered)
        self.noise = noise

    @classmethod
    def check(cls, config, options):
        super().check(config, options)
        need(options, "noise", options["noise"] > 0, "a share of the standard deviation, above 0")

    def problem(self, key, example):
        return self.problem_of(key, {"x": example})

    def problem_of(self, key, element):
        """The problem of an element {"x": ..., "cond": ...}; its cond holds the conditions of a model that has any."""
        domain = self.domain
        return self.observe(
            key, domain.unmasked(element["x"]), domain.given(conditions=domain.conditions_in(element.get("cond")))
        )

    @abc.abstractmethod
    def observe(self, key, x, cond) -> Problem:
        """What is known of x, in physical units with NaN in the mask."""

    def scale(self, name: str) -> float:
        """Standard deviation of a variable over the training data, in its units."""
        return float(self.domain.scales[self.domain.variables.index(name)])

    def metrics(self, samples, problem):
        return _scores(self.domain, samples, problem.truth)

    def plot(self, samples, problem, others):
        observed = (problem.extras or {}).get("observed", {})
        return plots.ensemble(
            self.domain.layout, self.domain.unmasked(samples), problem.truth, others, observed=observed
        )


class Observe(FieldTask):
    """All variables from sensors of one, at places on the grid drawn by chance.

    variable: the one that is measured, "" for the first; sensors: how many; others: of `FieldTask`.
    """

    def __init__(self, domain, *, variable: str = "", sensors: int = 20, **steered):
        super().__init__(domain, **steered)
        self.variable, self.sensors = variable or domain.variables[0], sensors
        if self.variable not in domain.variables:
            raise ValueError(f"variable = {self.variable!r}: expected one of {', '.join(domain.variables)}")

    @classmethod
    def check(cls, config, options):
        super().check(config, options)
        need(options, "sensors", options["sensors"] >= 1, "at least 1")

    def observe(self, key, x, cond):
        domain, layout = self.domain, self.domain.layout
        c = domain.variables.index(self.variable)
        free = np.flatnonzero(~np.isnan(x[..., c]).ravel())
        if not len(free):
            raise UserError(f"task observe: the example has no value of {self.variable!r}")
        places = np.sort(np.asarray(jax.random.choice(key, free, (min(self.sensors, len(free)),), replace=False)))
        std = self.noise * self.scale(self.variable)
        noise = np.asarray(jax.random.normal(jax.random.fold_in(key, 1), (len(places),)))
        values = x[..., c].ravel()[places] + std * noise
        index = np.unravel_index(places, x.shape[:-1])
        times = layout.step * index[0] if layout.frames else None
        where = np.stack(
            [layout.coordinate(dim)[i] for dim, i in zip(layout.space, index[-len(layout.space) :], strict=True)], -1
        )
        instrument = interpolate(layout, self.variable, where, times)
        shown = where if times is None else np.concatenate([times[:, None], where], 1)
        extras = {
            "observed": {self.variable: (shown, values)},
            "where": where,
            "times": times,
            "values": values,
            "std": std,
        }
        return Problem(domain.observation(instrument, values, std), x, cond, extras)

    def baseline(self, problem):
        """`kriging`, the other variables by regression on the measured one; `radial basis`; and a `training ensemble`."""
        known = (problem.extras[key] for key in ("where", "times", "values", "std"))
        return answers.from_points(self.domain, self.variable, *known)


class Fill(FieldTask):
    """What lies in a hole from all around it, for all variables: a box, `share` of each dimension of space wide, at a place by chance.

    share: of each dimension; others: of `FieldTask`, whose noise is that of what is seen.
    """

    def __init__(self, domain, *, share: float = 0.4, **steered):
        super().__init__(domain, **steered)
        self.share = share

    @classmethod
    def check(cls, config, options):
        super().check(config, options)
        need(options, "share", 0 < options["share"] < 1, "a share, above 0 and below 1")

    def observe(self, key, x, cond):
        domain, grid = self.domain, self.domain.layout.grid
        hole = np.ones(grid, bool)
        for axis, n in enumerate(grid):
            width = max(round(self.share * n), 1)
            first = int(jax.random.randint(jax.random.fold_in(key, axis), (), 0, n - width + 1))
            inside = (np.arange(n) >= first) & (np.arange(n) < first + width)
            hole &= inside.reshape([-1 if i == axis else 1 for i in range(len(grid))])
        seen = ~np.isnan(x) & ~hole[..., None]
        normal = domain.normalizer.normalize(domain.filled(x)) + self.noise * np.asarray(
            jax.random.normal(key, x.shape)
        )
        observation = lookahead.Observation(
            lookahead.operators.Mask(seen.astype(np.float32)), np.where(seen, normal, 0.0), self.noise
        )
        return Problem(observation, x, cond, {"seen": seen})

    def metrics(self, samples, problem):
        """Scores within the hole alone."""
        hidden = ~problem.extras["seen"]
        return _scores(self.domain, np.where(hidden, samples, np.nan), np.where(hidden, problem.truth, np.nan))

    def baseline(self, problem):
        """`radial basis` from all around, and the training samples' mean."""
        return answers.filled_in(self.domain, problem.truth, problem.extras["seen"])


class SuperResolve(FieldTask):
    """All variables from their means over blocks of `factor` points a side, in physical units, over areas where the grid has latitudes.

    factor: of every dimension of space, the last block may be smaller; others: of `FieldTask`, whose noise is a block mean's.
    """

    def __init__(self, domain, *, factor: int = 4, **steered):
        super().__init__(domain, **steered)
        self.factor = factor

    @classmethod
    def check(cls, config, options):
        super().check(config, options)
        need(options, "factor", options["factor"] >= 2, "2 or more")

    def observe(self, key, x, cond):
        domain, layout = self.domain, self.domain.layout
        means = block_means(layout, self.factor)
        scales = jnp.asarray(domain.scales)
        fields = domain.by_name(jnp.asarray(domain.filled(x))[None])
        exact = means(fields)[0]
        noise = self.noise * scales * jax.random.normal(key, exact.shape)
        there, lacking = means.there, np.isnan(x) & ~domain.masked
        if lacking.any():
            there = there & (np.asarray(means(domain.by_name(jnp.asarray(lacking, jnp.float32)[None]))[0]) == 0)
        coarse = np.where(there, np.asarray(exact + noise), np.nan)

        instrument = Scaled(means, scales, jnp.asarray(there))
        observation = domain.observation(instrument, np.nan_to_num(coarse) / np.asarray(scales), self.noise)
        return Problem(observation, x, cond, {"coarse": coarse})

    def baseline(self, problem):
        """`cubic splines` through the block means, and the training samples' mean."""
        return answers.sharpened(self.domain, problem.extras["coarse"], self.factor)


class Forecast(Task):
    """Later frames from the first `past` ones, on which the model is conditioned. Options: of `Task`."""

    @classmethod
    def fits(cls, config):
        past = config.data.window // 2 if config.data.get("past") is None else config.data.past
        return config.data.window > 1 and past > 0

    def problem(self, key, example):
        return self.problem_of(key, {"x": example})

    def problem_of(self, key, element):
        x, conditions = self.domain.unmasked(element["x"]), self.domain.conditions_in(element.get("cond"))
        return Problem(truth=x, cond=self.domain.given(seen=x[: self.domain.past], conditions=conditions))

    def metrics(self, samples, problem):
        """Scores of the frames after those that are given."""
        later = slice(self.domain.past, None)
        return _scores(self.domain, samples[:, later], problem.truth[later])

    def baseline(self, problem):
        """`persistence`: the last frame again and again; `regression` on the frames that are given; a `training ensemble` of windows."""
        return answers.of_forecast(self.domain, problem.truth)

    def plot(self, samples, problem, others):
        return _sequence(self.domain, samples, problem, others)


class FieldRollout(Rollout):
    """Windows one after the other, each given the last frames of the one before; there are no conditions for later ones."""

    @classmethod
    def fits(cls, config):
        return Forecast.fits(config) and not config.data.get("condition")

    def problem_of(self, key, element):
        x = np.where(self.domain.masked, np.nan, element["x"]).astype(np.float32)
        return Problem(truth=self.padded(x), cond=self.condition(x))

    def metrics(self, samples, problem):
        known = ~np.isnan(problem.truth).all(tuple(range(1, problem.truth.ndim)))
        known[: self.past] = False
        return _scores(self.domain, samples[:, known], problem.truth[known])

    def baseline(self, problem):
        return answers.of_forecast(self.domain, problem.truth)

    def plot(self, samples, problem, others):
        return _sequence(self.domain, samples, problem, others)


class WideFields(Wide):
    """Fields larger than the model's, by overlapping windows of its size.

    size: how many times the model's grid an answer is, along every dimension of space; others: of `Wide`.
    """

    @classmethod
    def fits(cls, config):
        return not config.data.get("condition")  # which would have to be as wide

    def __init__(self, domain, *, size: float = 1.5, **wide):
        super().__init__(domain, **wide)
        self.size = size

    @classmethod
    def check(cls, config, options):
        super().check(config, options)
        need(options, "size", options["size"] >= 1, "at least 1")

    def problem(self, key, example):
        domain, layout = self.domain, self.domain.layout
        if domain.fixed_channels:
            raise UserError(
                "task wide: the model is given static fields or a mask, which belong to its own grid; leave them out of the data"
            )
        shape = list(layout.shape)
        for axis in self.axes:
            shape[axis] = round(self.size * shape[axis])
        return Problem(truth=np.full(shape, np.nan, np.float32), cond=self.condition(None))

    def condition(self, example):
        return self.domain.given()  # of the model's own size, the same for all windows

    def metrics(self, samples, problem):
        """How the law of a window of the model's size in the middle differs from that of the data."""
        window = tuple(
            slice((n - w) // 2, (n - w) // 2 + w)
            for n, w in zip([samples.shape[1 + a] for a in self.axes], self.window, strict=True)
        )
        frames = (slice(None),) if self.domain.layout.frames else ()
        return self.domain.metrics(samples[(slice(None), *frames, *window)], self.domain.tasks["generate"].held_out(0))

    def plot(self, samples, problem, others):
        return plots.gallery(self.domain.layout_of(samples), samples)


class GenerateFields(Generate):
    """Fields out of nothing, scored against held-out ones."""


TASKS = {
    "observe": Observe, "fill": Fill, "superresolve": SuperResolve, "forecast": Forecast, "rollout": FieldRollout, "wide": WideFields,
    "generate": GenerateFields,
}  # fmt: skip


def _sequence(domain, samples, problem, others):
    return plots.sequence(domain.layout, domain.unmasked(samples), problem.truth, others, given=domain.past)


def _scores(domain, samples, truth):
    return metrics.ensemble_scores(domain.layout, domain.unmasked(samples), truth, domain.scales)
