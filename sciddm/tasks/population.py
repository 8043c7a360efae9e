"""Answers from a weighted population: `particles.smc` towards the problem's potential or observation."""

import jax
import numpy as np

from sciddm import particles, solvers
from sciddm.errors import Refusal, UserError
from sciddm.particles.smc import TWISTS
from sciddm.tasks.base import Task, need


class Population(Task):
    """Base of tasks whose members come from particles; a subclass says in `solve` how many populations answer.

    num_particles: of one population; twist: of `particles.smc`; solver, steps, grid: of the particles' steps, which must have a density.
    """

    observable = False
    by_member = False

    def __init__(
        self, domain, *, num_particles: int = 128, twist: str = "mmps", solver: str = "ddpm", steps: int = 40, grid: str = "logsnr",
    ):  # fmt: skip
        super().__init__(domain, solver=solver, steps=steps, grid=grid)
        self.num_particles, self.twist = num_particles, twist

    @classmethod
    def check(cls, config, options):
        need(options, "num_particles", options["num_particles"] >= 1, "at least 1")
        need(options, "twist", options["twist"] in TWISTS, f"one of {sorted(TWISTS)}")
        solver = solvers.resolve(options["solver"])
        dense = hasattr(solver, "transition") and solver.draws_noise()
        need(options, "solver", dense, "one whose steps have a density, such as 'ddpm', 'ddim-eta' or 'flow-sde'")

    def run(self, model, key, problem, num_particles: int | None = None, **options) -> particles.Result:
        """One population. `exp(log_evidence)` is the expected exp(potential), `resampled` draws from the weighed law.

        Args: options: solver, steps and grid, before those of the task.
        """
        count = self.num_particles if num_particles is None else num_particles
        options = {name: value for name, value in options.items() if value is not None}
        like = (problem.extras or {}).get("shape") or self.domain.example  # of an answer that is larger than the model's own
        chunk = max(size for size in range(1, 33) if count % size == 0)
        try:
            return particles.smc(
                key, model.denoiser_for(problem.cond), problem.observation, like, num_particles=count, twist=self.twist,
                chunk=chunk, **self.sampling | options,
            )  # fmt: skip
        except (Refusal, ValueError) as error:
            raise UserError(f"the particles of this task: {error}") from error

    def physical(self, z):
        """Normalised particles in physical units, as numpy."""
        return jax.tree.map(np.asarray, self.domain.normalizer.denormalize(z))
