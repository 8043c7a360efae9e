"""How is the path steered by where it will end? Denoiser -> Denoiser from the expected final output, one method a file."""

from sciddm.lookahead import operators
from sciddm.lookahead.langevin import Langevin
from sciddm.lookahead.mmps import mmps
from sciddm.lookahead.observation import Observation
from sciddm.lookahead.pigdm import pigdm
from sciddm.lookahead.steer import steer

__all__ = ["Langevin", "Observation", "mmps", "operators", "pigdm", "steer"]
