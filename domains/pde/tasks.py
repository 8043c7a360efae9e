"""What one does with PDE fields: solve from scattered points of one side, sharpen, generate."""

import jax
import jax.numpy as jnp
import numpy as np
import scipy.interpolate
import scipy.ndimage

from domains.pde import elliptic, plots
from domains.pde.metrics import ensemble_metrics
from sciddm import lookahead
from sciddm.domain import Problem, Task
from sciddm.errors import UserError

SOLVERS = {"darcy": elliptic.darcy_solve, "poisson": elliptic.poisson_solve, "helmholtz": elliptic.helmholtz_solve}
# Every method that takes an Observation; those named second are told `guidance.iterations`.
GUIDES = {
    name: getattr(lookahead, name)
    for name in (
        "dps",
        "tfg",
        "sitcom",
        "ddrm",
        "flowdps",
        "lgd",
        "steer",
        "mmps",
        "pigdm",
        "ddnm",
        "diffpir",
        "daps",
        "repaint",
    )
}
ITERATED = ("mmps", "pigdm", "ddnm", "diffpir", "daps", "repaint")


def make_tasks(domain, data) -> dict[str, Task]:
    """`forward` and `inverse` where there are two variables; `superresolve` and `generate` always."""
    tasks = {"superresolve": SuperResolve(domain, data.guidance), "generate": Generate(domain)}
    if len(domain.variables) == 2:
        tasks["forward"] = Scattered(domain, data.guidance, side=0)
        tasks["inverse"] = Scattered(domain, data.guidance, side=1)
    return tasks


class _Steered(Task):
    """Shared by the tasks below: how they are guided, scored and drawn."""

    def __init__(self, domain, guidance):
        self.domain, self.guidance = domain, guidance
        if guidance.method not in GUIDES:
            raise UserError(f"config.data.guidance.method = {guidance.method!r}: expected one of {sorted(GUIDES)}")
        if guidance.noise_std <= 0:
            raise UserError(f"config.data.guidance.noise_std = {guidance.noise_std}: expected a positive number")
        # an empty word leaves it to the method
        self.sampling = {key: guidance[key] or None for key in ("solver", "steps", "grid")}

    def guide(self, denoiser, problem):
        if self.guidance.residual_weight > 0:
            denoiser = lookahead.steer(denoiser, residual_potential(self.domain), scale=self.guidance.residual_weight)
        method = self.guidance.method
        options = {"iterations": self.guidance.iterations} if method in ITERATED else {}
        return GUIDES[method](denoiser, problem.observation, **options)

    def metrics(self, samples, problem):
        return ensemble_metrics(self.domain.spec, np.asarray(samples), problem.truth)

    def plot(self, samples, problem):
        return plots.ensemble(self.domain, samples, problem, self.baseline(problem))


class Scattered(_Steered):
    """The whole of both variables from a share of the points of one: side 0 is the forward problem, side 1 the inverse one."""

    def __init__(self, domain, guidance, side: int):
        super().__init__(domain, guidance)
        self.side = side

    def problem(self, key, example):
        n, _, channels = example.shape
        count = max(round(self.guidance.points * n * n), 1)
        places = np.asarray(jax.random.choice(key, n * n, (count,), replace=False))
        indices = jnp.asarray(places * channels + self.side)
        normal = np.asarray(self.domain.normalizer.normalize(example)).reshape(-1)
        observation = lookahead.Observation(
            lookahead.operators.Points(indices), normal[indices], self.guidance.noise_std
        )
        return Problem(observation, example, extras={"places": places, "side": self.side})

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


class SuperResolve(_Steered):
    """Both variables from block means, `guidance.factor` times coarser."""

    def problem(self, key, example):
        operator = lookahead.operators.Downsample(self.guidance.factor)
        normal = jnp.asarray(self.domain.normalizer.normalize(example))
        observation = lookahead.Observation(operator, operator(normal[None])[0], self.guidance.noise_std)
        return Problem(observation, example, extras={})

    def baseline(self, problem):
        """`cubic`: cubic splines through the block means, by scipy."""
        coarse = np.asarray(self.domain.normalizer.denormalize(problem.observation.value))
        zoomed = [
            scipy.ndimage.zoom(coarse[..., c], self.guidance.factor, order=3, grid_mode=True, mode="nearest")
            for c in range(coarse.shape[-1])
        ]
        return {"cubic": np.stack(zoomed, -1).astype(np.float32)}


class Generate(Task):
    """Fields out of nothing; scored by the domain's own metrics."""

    def __init__(self, domain):
        self.domain = domain

    def problem(self, key, example):
        return Problem(None, example)

    def guide(self, denoiser, problem):
        return denoiser

    def baseline(self, problem):
        return {"mean field": self.domain.mean_field}

    def metrics(self, samples, problem):
        return self.domain.metrics(np.asarray(samples), self.domain.fields("test"))

    def plot(self, samples, problem):
        return plots.gallery(np.asarray(samples), self.domain.variables)


def residual_potential(domain):
    """potential(x_0, t) = -|residual|^2 / (2 n^2), of normalised x_0, the residual being in the equation's own units.

    Raises: UserError if the equation has no residual with a stencil.
    """
    if domain.spec.residual is None:
        raise UserError(
            f"config.data.guidance.residual_weight: equation {domain.equation!r} has no residual; set it to 0"
        )

    def potential(x_0, t):
        residual = domain.residual(domain.normalizer.denormalize(x_0))
        return -0.5 * jnp.mean(jnp.square(residual), axis=(-2, -1))

    return potential
