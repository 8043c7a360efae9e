"""How is the population steered? Many paths with weights: SMC, steering, search. One method a file; all count network calls alike."""

from sciddm.particles.engine import Resampling, lineage
from sciddm.particles.exceeds import Exceeds
from sciddm.particles.resample import RESAMPLERS, effective_sample_size
from sciddm.particles.result import Result
from sciddm.particles.smc import smc

__all__ = ["RESAMPLERS", "Exceeds", "Resampling", "Result", "effective_sample_size", "lineage", "smc"]
