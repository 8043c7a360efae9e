"""What noise? The laws of eps in x_t = alpha x_0 + sigma eps, one a file: each draws, weighs, projects and knows its Sigma."""

from sciddm.noise.base import Noise, as_structs
from sciddm.noise.white import White

__all__ = ["Noise", "White", "as_structs"]
