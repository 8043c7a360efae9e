"""Which solver? One file each; every one is a diffrax solver, and any diffrax solver stands in their place."""

from collections.abc import Callable

import diffrax

from sciddm.named import Kind, named
from sciddm.solvers.adams_bashforth import AdamsBashforth
from sciddm.solvers.adaptive import Adaptive
from sciddm.solvers.base import AbstractDenoiserSolver, AncestralSolver, DenoiserTerm
from sciddm.solvers.ddim import DDIM
from sciddm.solvers.ddpm import DDPM
from sciddm.solvers.dpmpp2m import DPMpp2M
from sciddm.solvers.dpmpp2s import DPMpp2S
from sciddm.solvers.edm import EDM
from sciddm.solvers.flow_sde import FlowSDE
from sciddm.solvers.from_diffrax import FromDiffrax
from sciddm.solvers.heun import Heun
from sciddm.solvers.unipc import UniPC
from sciddm.solvers.unipc_signal import UniPCSignal

__all__ = [
    "DDIM", "DDPM", "EDM", "SOLVERS", "AbstractDenoiserSolver", "AdamsBashforth", "Adaptive", "AncestralSolver", "DPMpp2M",
    "DPMpp2S", "DenoiserTerm",
    "FlowSDE", "FromDiffrax", "Heun", "UniPC", "UniPCSignal", "resolve",
]  # fmt: skip

SOLVERS: dict[str, Callable[[], AbstractDenoiserSolver]] = {
    # deterministic
    "ddim": DDIM,
    "dpmpp1": DDIM,  # the same method under its other name
    "dpmpp2s": DPMpp2S,
    "dpmpp2m": DPMpp2M,
    "dpmpp3m": lambda: AdamsBashforth(3),
    "adams-bashforth2": lambda: AdamsBashforth(2),
    "adams-bashforth4": lambda: AdamsBashforth(4),
    "unipc": lambda: UniPC(3),
    "unipc2": lambda: UniPC(2),
    "unipc2-signal": lambda: UniPCSignal(2),
    "unipc-signal": lambda: UniPCSignal(3),
    "heun": Heun,
    "tsit5": lambda: Adaptive(diffrax.Tsit5()),
    "dopri8": lambda: Adaptive(diffrax.Dopri8()),
    # stochastic
    "ddpm": DDPM,
    "ancestral": DDPM,  # the same method under its other name
    "ddim-eta": lambda: DDIM(eta=0.5),
    "sde-dpmpp2m": lambda: DPMpp2M(eta=0.5),
    "seeds2": lambda: DPMpp2S(eta=1.0),
    "edm": EDM,
    "flow-sde": FlowSDE,
    "euler-maruyama": lambda: FromDiffrax(diffrax.Euler(), stochastic=True),
}

KIND = Kind(
    "solver", SOLVERS, lambda found: isinstance(found, type) and issubclass(found, diffrax.AbstractSolver),
    "a class of sciddm.solvers.AbstractDenoiserSolver, or a diffrax solver",
)  # fmt: skip

# diffrax solvers that also take ordinary equations; a stochastic use of these asks for FromDiffrax(..., stochastic=True).
_DETERMINISTIC_TOO = (diffrax.Euler, diffrax.Heun, diffrax.Midpoint, diffrax.Ralston, diffrax.ReversibleHeun)


def resolve(solver) -> AbstractDenoiserSolver:
    """A name of `SOLVERS` or package.module:Name, with options ("ddpm(prior_variance=1.0)"), one of our solvers, or any diffrax solver
    (stochastic ones solve the reverse-time equation).

    Raises: ValueError on an unknown name or option.
    """
    if isinstance(solver, str):
        try:
            return resolve(named(solver, KIND)())
        except TypeError as error:
            raise ValueError(f"solver {solver!r}: {error}") from error
    if isinstance(solver, (diffrax.AbstractImplicitSolver, diffrax.SemiImplicitEuler)):
        raise ValueError(f"{type(solver).__name__} is implicit, or wants several terms; take an explicit solver, such as diffrax.Tsit5()")
    if isinstance(solver, AbstractDenoiserSolver):
        return solver
    stochastic = isinstance(solver, (diffrax.AbstractItoSolver, diffrax.AbstractStratonovichSolver))
    return FromDiffrax(solver, stochastic=stochastic and not isinstance(solver, _DETERMINISTIC_TOO))
