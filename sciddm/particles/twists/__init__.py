"""How good will x_t turn out? One guess a file; every one keeps the law and evidence right."""

from sciddm.particles.twists.base import Look, Twist, Unknowing
from sciddm.particles.twists.known import KnownTwist
from sciddm.particles.twists.moment_matched import MomentMatched
from sciddm.particles.twists.plain import Plain
from sciddm.particles.twists.tilted import Tilted

__all__ = ["KnownTwist", "Look", "MomentMatched", "Plain", "Tilted", "Twist", "Unknowing"]
