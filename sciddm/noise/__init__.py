"""What noise? The laws of eps in x_t = alpha x_0 + sigma eps, one a file: each draws, weighs, projects and knows its Sigma."""

from sciddm.noise.base import Noise
from sciddm.noise.by_condition import ByCondition
from sciddm.noise.coloured import Coloured
from sciddm.noise.masked import Masked
from sciddm.noise.per_leaf import PerLeaf
from sciddm.noise.spectral import SpectralField
from sciddm.noise.spherical import Spherical
from sciddm.noise.symmetric import Symmetric
from sciddm.noise.white import White
from sciddm.noise.zero_centre_of_mass import ZeroCentreOfMass

__all__ = [
    "ByCondition", "Coloured", "Masked", "Noise", "PerLeaf", "SpectralField", "Spherical", "Symmetric", "White", "ZeroCentreOfMass",
]  # fmt: skip
