"""How is the population steered? Many paths with weights: SMC, steering, search. One method a file; all count network calls alike."""

from collections.abc import Callable

from sciddm.particles.best_of_n import best_of_n
from sciddm.particles.correctors import anneal, guided, product, tilt
from sciddm.particles.das import das
from sciddm.particles.engine import Resampling, lineage
from sciddm.particles.exceeds import Exceeds
from sciddm.particles.feynman_kac import feynman_kac
from sciddm.particles.fk_steering import fk_steering
from sciddm.particles.for_each import for_each
from sciddm.particles.mcgdiff import mcgdiff
from sciddm.particles.pcnl import pcnl
from sciddm.particles.psi import psi
from sciddm.particles.resample import RESAMPLERS, effective_sample_size
from sciddm.particles.result import Result
from sciddm.particles.reward_langevin import reward_langevin
from sciddm.particles.reweighed import reweighed
from sciddm.particles.rollover_budget import rollover_budget
from sciddm.particles.search_over_paths import search_over_paths
from sciddm.particles.smc import smc
from sciddm.particles.svdd import svdd
from sciddm.particles.tds import tds
from sciddm.particles.twists import Twist

# What steers any denoiser by any potential within a budget: method(key, denoiser, potential, shape, budget=..., steps=...) -> Result.
METHODS: dict[str, Callable[..., Result]] = {
    "best_of_n": best_of_n,
    "svdd": svdd,
    "fk_steering": fk_steering,
    "rollover_budget": rollover_budget,
    "search_over_paths": search_over_paths,
    "smc": smc,
    "tds": tds,
    "das": das,
    "psi": psi,
}

__all__ = [
    "METHODS", "RESAMPLERS", "Exceeds", "Resampling", "Result", "Twist", "anneal", "best_of_n", "das", "effective_sample_size",
    "feynman_kac", "fk_steering", "for_each", "guided", "lineage", "mcgdiff", "pcnl", "product", "psi", "reward_langevin",
    "reweighed", "rollover_budget", "search_over_paths", "smc", "svdd", "tds", "tilt",
]  # fmt: skip
