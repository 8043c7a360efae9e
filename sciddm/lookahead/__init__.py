"""How is the path steered by where it will end? Denoiser -> Denoiser from the expected final output, one method a file."""

import warnings

from sciddm.lookahead import constraints
from sciddm.lookahead.by_name import GUIDES, guide
from sciddm.lookahead.constraints import Project, constrain
from sciddm.lookahead.daps import daps
from sciddm.lookahead.ddnm import ddnm
from sciddm.lookahead.ddrm import ddrm
from sciddm.lookahead.dflow import dflow
from sciddm.lookahead.diffpir import diffpir
from sciddm.lookahead.dps import dps
from sciddm.lookahead.flowchef import flowchef
from sciddm.lookahead.flowdps import flowdps
from sciddm.lookahead.freedom import freedom
from sciddm.lookahead.langevin import Langevin
from sciddm.lookahead.lgd import lgd
from sciddm.lookahead.mmps import mmps
from sciddm.lookahead.mpgd import mpgd
from sciddm.lookahead.observe import operators, statistics
from sciddm.lookahead.observe.joint import join
from sciddm.lookahead.observe.measurement import Clipped, Gaussian, Laplace, MeasurementNoise, Poisson, Quantised
from sciddm.lookahead.observe.observation import Observation
from sciddm.lookahead.observe.potentials import conjunction, mixture
from sciddm.lookahead.pigdm import pigdm
from sciddm.lookahead.reddiff import reddiff
from sciddm.lookahead.renoise import Renoise
from sciddm.lookahead.repaint import Replace, repaint
from sciddm.lookahead.rigid import Rigid, superpose
from sciddm.lookahead.sitcom import sitcom
from sciddm.lookahead.steer import steer
from sciddm.lookahead.synchronize import STRATEGIES, synchronize
from sciddm.lookahead.tfg import tfg
from sciddm.lookahead.universal import universal
from sciddm.lookahead.views import Views, mesh, patches, sphere, windows

__all__ = [
    "GUIDES", "STRATEGIES", "Clipped", "Gaussian", "Langevin", "Laplace", "MeasurementNoise", "Observation", "Poisson", "Project",
    "Quantised", "Renoise", "Replace", "Rigid", "Views", "conjunction", "constrain", "constraints", "daps", "ddnm", "ddrm", "dflow",
    "diffpir", "dps", "flowchef", "flowdps", "freedom", "guide", "join", "lgd", "mesh", "mixture", "mmps", "mpgd", "operators", "patches",
    "pigdm", "reddiff", "repaint", "sitcom", "sphere", "statistics", "steer", "superpose", "synchronize", "tfg", "universal", "windows",
]  # fmt: skip


def __getattr__(name):
    if name == "product":  # the name of version 0.1
        warnings.warn("lookahead.product is now lookahead.conjunction", DeprecationWarning, stacklevel=2)
        return conjunction
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
