"""Which solver? One file each; every one is a diffrax solver, and any diffrax solver stands in their place."""

from collections.abc import Callable

import diffrax

from sciddm.solvers.base import AbstractDenoiserSolver, DenoiserTerm
from sciddm.solvers.ddim import DDIM
from sciddm.solvers.ddpm import DDPM
from sciddm.solvers.dpmpp2m import DPMpp2M
from sciddm.solvers.from_diffrax import FromDiffrax
from sciddm.solvers.heun import Heun

__all__ = [
    "DDIM",
    "DDPM",
    "SOLVERS",
    "AbstractDenoiserSolver",
    "DPMpp2M",
    "DenoiserTerm",
    "FromDiffrax",
    "Heun",
    "resolve",
]

SOLVERS: dict[str, Callable[[], AbstractDenoiserSolver]] = {
    "ddim": DDIM,
    "ddpm": DDPM,
    "dpmpp2m": DPMpp2M,
    "euler-maruyama": lambda: FromDiffrax(diffrax.Euler(), stochastic=True),
    "heun": Heun,
}

# diffrax solvers that also take ordinary equations; a stochastic use of these asks for FromDiffrax(..., stochastic=True).
_DETERMINISTIC_TOO = (diffrax.Euler, diffrax.Heun, diffrax.Midpoint, diffrax.Ralston, diffrax.ReversibleHeun)


def resolve(solver) -> AbstractDenoiserSolver:
    """A name of `SOLVERS`, one of our solvers, or any diffrax solver (stochastic ones solve the reverse-time equation).

    Raises: ValueError on an unknown name.
    """
    if isinstance(solver, str):
        if solver not in SOLVERS:
            raise ValueError(f"solver {solver!r} is none of {sorted(SOLVERS)}")
        return SOLVERS[solver]()
    if isinstance(solver, AbstractDenoiserSolver):
        return solver
    stochastic = isinstance(solver, (diffrax.AbstractItoSolver, diffrax.AbstractStratonovichSolver))
    return FromDiffrax(solver, stochastic=stochastic and not isinstance(solver, _DETERMINISTIC_TOO))
