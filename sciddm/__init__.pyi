"""The public names: where each is found, for Python, which imports it on first touch, for type checkers and for editors."""

from . import grids, guidance, lookahead, metrics, noise, oracle, particles, solvers, tasks
from .denoiser import Denoiser, FunctionDenoiser, Guide, NetworkDenoiser, denoise_with_vjp
from .domain import Domain, Normalizer, Outline, Problem, Reward, Task, get_domain
from .errors import UserError
from .interpolant import Interpolant
from .likelihood import decode, encode, log_prob
from .match_snr import match_snr
from .model import load
from .noise import Masked, Noise, PerLeaf, SpectralField, Spherical, Symmetric, White, ZeroCentreOfMass
from .objective import Objective
from .process import GaussianProcess
from .reverse import Correction
from .rollout import rollout
from .sample import sample
from .time_travel import TimeTravel

__version__: str
__all__ = [
    "Correction", "Denoiser", "Domain", "FunctionDenoiser", "GaussianProcess", "Guide", "Interpolant", "Masked", "NetworkDenoiser", "Noise",
    "Normalizer", "Objective", "Outline", "PerLeaf", "Problem", "Reward", "SpectralField", "Spherical", "Symmetric", "Task", "TimeTravel",
    "UserError", "White", "ZeroCentreOfMass", "decode", "denoise_with_vjp", "encode", "get_domain", "grids", "guidance", "load", "log_prob",
    "lookahead", "match_snr", "metrics", "noise", "oracle", "particles", "rollout", "sample", "solvers", "tasks",
]  # fmt: skip
