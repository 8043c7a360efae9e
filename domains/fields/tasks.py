"""What one does with fields that were measured in part: observe them at points, fill what is missing, sharpen block means."""

import abc

import jax
import jax.numpy as jnp
import numpy as np

from domains.fields import answers, metrics
from domains.fields.instruments import block_means
from domains.fields.observations import Gridded, Points, errors_of, observe_grid, observe_points
from domains.fields.questions import Brings
from domains.fields.tasks_whole import FieldRollout, Forecast, GenerateFields, WideFields
from sciddm.errors import UserError
from sciddm.tasks import Problem, Steered, need


class FieldTask(Brings, Steered):
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

    @property
    def default_error(self) -> float:
        """What stands for an error that is not given."""
        return self.noise

    def scale(self, name: str) -> float:
        """Standard deviation of a variable over the training data, in its units."""
        return float(self.domain.scales[self.domain.variables.index(name)])

    def metrics(self, samples, problem):
        return metrics.ensemble_scores(self.domain.layout, self.domain.unmasked(samples), problem.truth, self.domain.scales)


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
        measured = Points(np.full(len(places), c), where, times, np.asarray(values, float), np.full(len(places), std))
        shown = where if times is None else np.concatenate([times[:, None], where], 1)
        extras = {
            "observed": {self.variable: (shown, values)},
            "where": where,
            "times": times,
            "values": values,
            "std": std,
            "measured": measured,
        }
        return Problem(observe_points(domain, measured), x, cond, extras)

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
        values = np.where(seen, domain.normalizer.denormalize(normal.astype(np.float32)), np.nan).astype(np.float32)
        measured = Gridded(values, errors_of(domain, values, self.noise), (1,) * len(grid))
        return Problem(observe_grid(domain, measured, self.noise), x, cond, {"seen": seen, "measured": measured})

    def metrics(self, samples, problem):
        """Scores within the hole alone."""
        hidden = ~problem.extras["seen"]
        samples, truth = np.where(hidden, samples, np.nan), np.where(hidden, problem.truth, np.nan)
        return metrics.ensemble_scores(self.domain.layout, self.domain.unmasked(samples), truth, self.domain.scales)

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
        coarse = np.where(there, np.asarray(exact + noise), np.float32(np.nan))
        measured = Gridded(coarse, self.noise * np.asarray(scales, float), (self.factor,) * len(layout.space))
        return Problem(observe_grid(domain, measured, self.noise), x, cond, {"coarse": coarse, "measured": measured})

    def baseline(self, problem):
        """`cubic splines` through the block means, and the training samples' mean."""
        return answers.sharpened(self.domain, problem.extras["coarse"], self.factor)


TASKS = {
    "observe": Observe, "fill": Fill, "superresolve": SuperResolve, "forecast": Forecast, "rollout": FieldRollout, "wide": WideFields,
    "generate": GenerateFields,
}  # fmt: skip

