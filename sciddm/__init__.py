"""sciddm: scientific diffusion models. The public names, nothing else."""

from sciddm import grids, guidance, lookahead, metrics, noise, oracle, particles, solvers, tasks
from sciddm.denoiser import Denoiser, FunctionDenoiser, Guide, NetworkDenoiser, denoise_with_vjp
from sciddm.domain import Domain, Normalizer, Outline, Problem, Reward, Task, get_domain
from sciddm.errors import UserError
from sciddm.interpolant import Interpolant
from sciddm.likelihood import decode, encode, log_prob
from sciddm.match_snr import match_snr
from sciddm.noise import Masked, Noise, PerLeaf, SpectralField, Spherical, Symmetric, White, ZeroCentreOfMass
from sciddm.objective import Objective
from sciddm.process import GaussianProcess
from sciddm.reverse import Correction
from sciddm.rollout import rollout
from sciddm.sample import sample
from sciddm.time_travel import TimeTravel

__version__ = "0.1.0"
__all__ = [
    "Correction", "Denoiser", "Domain", "FunctionDenoiser", "GaussianProcess", "Guide", "Interpolant", "Masked", "NetworkDenoiser", "Noise",
    "Normalizer", "Objective", "Outline", "PerLeaf", "Problem", "Reward", "SpectralField", "Spherical", "Symmetric", "Task", "TimeTravel",
    "UserError", "White", "ZeroCentreOfMass", "decode", "denoise_with_vjp", "encode", "get_domain", "grids", "guidance", "load", "log_prob",
    "lookahead", "match_snr", "metrics", "noise", "oracle", "particles", "rollout", "sample", "solvers", "tasks",
]  # fmt: skip


def load(workdir, **options):
    """A trained run for notebooks: `sciddm.model.load`."""
    from sciddm.model import load as load_model  # the training and checkpoint libraries take seconds to import

    return load_model(workdir, **options)
