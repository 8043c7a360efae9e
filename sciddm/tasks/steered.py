"""Samples that agree with an observation, by a method of `sciddm.lookahead` that the config names."""

from sciddm.denoiser import FunctionDenoiser
from sciddm.errors import UserError
from sciddm.lookahead.by_name import GUIDES, SAMPLERS, named_guide
from sciddm.lookahead.observe.observation import Observation
from sciddm.named import parse
from sciddm.process import GaussianProcess
from sciddm.tasks.base import Task, need

# What answers a measurement best of all that was tried, with trained networks: the guide, and how it is sampled.
METHOD = "mmps(iterations=3)"
SAMPLING = {"solver": "ddpm", "steps": 40, "grid": "logsnr"}


class Steered(Task):
    """The denoiser guided by `method` towards `problem.observation`.

    strength: of the likelihood, 1 as it is, noise_std / sqrt(strength); method: a name of `sciddm.lookahead.GUIDES` or package.module:Name,
    with options: "mmps(iterations=3)"; solver, steps, grid: None leaves each to the method, as published.
    """

    strength = "strength"

    def __init__(
        self, domain, *, method: str = METHOD, strength: float = 1.0, solver: str | None = SAMPLING["solver"],
        steps: int | None = SAMPLING["steps"], grid: str | None = SAMPLING["grid"],
    ):  # fmt: skip
        super().__init__(domain)
        self.method, self.weight, self.sampling = method, strength, {"solver": solver, "steps": steps, "grid": grid}

    @classmethod
    def check(cls, config, options):
        try:
            guide, name = named_guide(options["method"]), parse(options["method"])[0]
            if name in GUIDES:
                # Made once of nothing, which evaluates nothing: ours look at their options then, whatever is observed.
                guide(FunctionDenoiser(lambda x_t, t, cond: x_t, GaussianProcess.vp()), Observation(lambda x: x, 0.0, 1.0))
        except (TypeError, ValueError) as error:
            raise ValueError(f"method: {error}") from error
        need(options, "strength", options.get("strength", 1) > 0, "a number above 0, 1 for the measurement as it is")
        free = name not in SAMPLERS or options["solver"] is None
        need(options, "solver", free, f"None, since {options['method']} samples in its own way")

    def guide(self, denoiser, problem):
        observation = problem.observation
        try:
            observation = observation if self.weight == 1 else observation.tempered(self.weight)
            return named_guide(self.method)(denoiser, observation)
        except (TypeError, ValueError) as error:
            raise UserError(f"method {self.method!r} does not go with the observation of this task: {error}") from error


def steered_options(guidance) -> dict:
    """Options of `Steered` from those of version 1: a method and its iterations apart, "" and 0 for what is left to the method."""
    guidance = {"method": "mmps", "iterations": 3, "solver": "ddpm", "steps": 40, "grid": "logsnr"} | dict(guidance)
    iterated = guidance["method"] in ("mmps", "pigdm", "ddnm", "diffpir", "daps", "repaint")
    method = f"{guidance['method']}(iterations={guidance['iterations']})" if iterated else guidance["method"]
    return {"method": method} | {name: guidance[name] or None for name in ("solver", "steps", "grid")}
