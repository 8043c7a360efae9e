"""What one does with PDE fields: solve from scattered points of one side, sharpen, generate."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import scipy

from domains.fields.observations import Gridded, Points
from domains.fields.questions import Brings
from domains.fields.tasks_whole import GenerateFields as GenerateAnyFields
from domains.pde import elliptic, generate
from domains.pde.metrics import ensemble_metrics
from sciddm import lookahead
from sciddm.tasks import BlockMeans, Problem, Steered, need
from sciddm.tasks.steered import steered_options

SOLVERS = {"darcy": elliptic.darcy_solve, "poisson": elliptic.poisson_solve, "helmholtz": elliptic.helmholtz_solve}


def two_variables(config) -> bool:
    """Whether the equation has a coefficient or start, and a solution."""
    equation = generate.EQUATIONS.get(config.data.equation)
    return equation is None or len(equation.variables) == 2  # an unknown one is refused by name, in its place


class FieldTask(Brings, Steered):
    """Shared by the tasks below: how they are scored and drawn.

    noise_std: of the normalised observation; residual_weight: of the equation's residual as a potential besides, 0 for none; others: of
    `Steered`.
    """

    def __init__(self, domain, *, noise_std: float = 0.05, residual_weight: float = 0.0, **steered):
        super().__init__(domain, **steered)
        self.noise_std, self.residual_weight = noise_std, residual_weight

    @classmethod
    def check(cls, config, options):
        super().check(config, options)
        need(options, "noise_std", options["noise_std"] > 0, "a number above 0")
        need(options, "residual_weight", options["residual_weight"] >= 0, "a number, 0 or more")
        equation = generate.EQUATIONS[config.data.equation]
        there = options["residual_weight"] == 0 or equation.residual is not None
        need(options, "residual_weight", there, f"0, since equation {config.data.equation!r} has no residual")

    def guide(self, denoiser, problem):
        if self.residual_weight > 0:
            denoiser = lookahead.steer(denoiser, residual_potential(self.domain), scale=self.residual_weight)
        return super().guide(denoiser, problem)

    def metrics(self, samples, problem):
        return ensemble_metrics(self.domain.spec, np.asarray(samples), problem.truth)

    @property
    def default_error(self) -> float:
        """What stands for an error that is not given."""
        return self.noise_std

    def errors(self) -> np.ndarray:
        """(C,) what `noise_std` means in the variables' units."""
        return self.noise_std * np.asarray(self.domain.normalizer.std, float)


class Scattered(FieldTask):
    """The whole of both variables from a share of the points of one, `side`: 0 is the coefficient or start, 1 the solution.

    points: share of that side's points which are seen; others: of `FieldTask`.
    """

    side: int

    def __init__(self, domain, *, points: float = 0.03, **steered):
        super().__init__(domain, **steered)
        self.points = points

    @classmethod
    def fits(cls, config):
        return two_variables(config)

    @classmethod
    def check(cls, config, options):
        super().check(config, options)
        need(options, "points", 0 < options["points"] <= 1, "a share, above 0 and at most 1")

    def problem(self, key, example):
        n, _, channels = example.shape
        count = max(round(self.points * n * n), 1)
        places = np.asarray(jax.random.choice(key, n * n, (count,), replace=False))
        indices = jnp.asarray(places * channels + self.side)
        normal = np.asarray(self.domain.normalizer.normalize(example)).reshape(-1)
        observation = lookahead.Observation(lookahead.operators.Points(indices), normal[indices], self.noise_std)
        layout, index = self.domain.layout, np.unravel_index(places, (n, n))
        where = np.stack([layout.coordinate(dim)[i] for dim, i in zip(layout.space, index, strict=True)], -1)
        values = np.asarray(example)[(*index, self.side)]
        measured = Points(np.full(count, self.side), where, None, values.astype(float), np.full(count, self.errors()[self.side]))
        seen = {self.domain.variables[self.side]: (where, values)}
        return Problem(observation, example, extras={"places": places, "observed": seen, "measured": measured})

    def baseline(self, problem):
        """`mean field`: the training mean; `fill`: nearest neighbours and the equation's own solver, or radial basis functions for u."""
        truth, places = problem.truth, problem.extras["places"]
        n, seen = truth.shape[0], truth[..., self.side].reshape(-1)[places]
        mean = self.domain.mean_field
        at = np.stack(np.divmod(places, n), -1)
        grid = np.stack(np.meshgrid(np.arange(n), np.arange(n), indexing="ij"), -1).reshape(-1, 2)
        filled = mean.copy()
        if self.side == 0:
            filled[..., 0] = scipy.interpolate.NearestNDInterpolator(at, seen)(grid).reshape(n, n)
            solve = SOLVERS.get(self.domain.equation)
            if solve is not None:
                filled[..., 1] = solve(filled[..., 0].astype(np.float64))
            name = "nearest + solve"
        else:
            smooth = scipy.interpolate.RBFInterpolator(at, seen, kernel="thin_plate_spline", neighbors=min(64, len(at)))
            filled[..., 1] = smooth(grid.astype(float)).reshape(n, n)
            name = "radial basis"
        return {"mean field": mean, name: filled}


class Forward(Scattered):
    """The solution from scattered points of the coefficient or start, and those between the points too."""

    side = 0


class Inverse(Scattered):
    """The coefficient or start from scattered points of the solution, and the solution between them."""

    side = 1


class SuperResolve(BlockMeans, FieldTask):
    """All variables from block means. Options: of `BlockMeans` and `FieldTask`."""

    def problem(self, key, example):
        problem = super().problem(key, example)
        coarse = np.asarray(self.domain.normalizer.denormalize(problem.observation.value), np.float32)
        return replace(problem, extras={"measured": Gridded(coarse, self.errors(), (self.factor,) * 2)})

    def baseline(self, problem):
        """`cubic`: cubic splines through the block means, by scipy."""
        coarse = np.asarray(self.domain.normalizer.denormalize(problem.observation.value))
        zoomed = [
            scipy.ndimage.zoom(coarse[..., c], self.factor, order=3, grid_mode=True, mode="nearest")
            for c in range(coarse.shape[-1])
        ]
        return {"cubic": np.stack(zoomed, -1).astype(np.float32)}


class GenerateFields(GenerateAnyFields):
    """Fields out of nothing, scored by the domain's own metrics."""

    def baseline(self, problem):
        """`held-out data`, which say what is attainable, and `mean field`, the least that any answer must beat."""
        return super().baseline(problem) | {"mean field": self.domain.mean_field}


TASKS = {"superresolve": SuperResolve, "generate": GenerateFields, "forward": Forward, "inverse": Inverse}


def residual_potential(domain):
    """potential(x_0, t) = -|residual|^2 / (2 n^2), of normalised x_0, the residual being in the equation's own units."""

    def potential(x_0, t):
        residual = domain.residual(domain.normalizer.denormalize(x_0))
        return -0.5 * jnp.mean(jnp.square(residual), axis=(-2, -1))

    return potential


def migrated_tasks(guidance, equation: str) -> dict:
    """config.tasks of what stood in config.data.guidance in version 1."""
    if not guidance:
        return {}
    shared = steered_options(guidance) | {key: guidance[key] for key in ("noise_std", "residual_weight")}
    tasks = {"superresolve": shared | {"factor": guidance["factor"]}}
    if len(generate.EQUATIONS[equation].variables) == 2:
        tasks |= {name: shared | {"points": guidance["points"]} for name in ("forward", "inverse")}
    return tasks
