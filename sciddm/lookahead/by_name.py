"""Guides by name, with options: "mmps", "mmps(iterations=3)", "my_package.guides:Mine(strength=2.0)"."""

import inspect

from sciddm.denoiser import Denoiser
from sciddm.lookahead.daps import daps
from sciddm.lookahead.ddnm import ddnm
from sciddm.lookahead.ddrm import ddrm
from sciddm.lookahead.dflow import dflow
from sciddm.lookahead.diffpir import diffpir
from sciddm.lookahead.dps import dps
from sciddm.lookahead.flowchef import flowchef
from sciddm.lookahead.flowdps import flowdps
from sciddm.lookahead.freedom import freedom
from sciddm.lookahead.lgd import lgd
from sciddm.lookahead.mmps import mmps
from sciddm.lookahead.mpgd import mpgd
from sciddm.lookahead.pigdm import pigdm
from sciddm.lookahead.reddiff import reddiff
from sciddm.lookahead.repaint import repaint
from sciddm.lookahead.sitcom import sitcom
from sciddm.lookahead.steer import steer
from sciddm.lookahead.tfg import tfg
from sciddm.lookahead.universal import universal
from sciddm.named import Kind, named

# All that take an Observation: (denoiser, observation, **options) -> denoiser.
GUIDES = {
    function.__name__: function
    for function in (
        daps, ddnm, ddrm, dflow, diffpir, dps, flowchef, flowdps, freedom, lgd, mmps, mpgd, pigdm, reddiff, repaint, sitcom, steer, tfg,
        universal,
    )
}  # fmt: skip
SAMPLERS = ("ddrm", "dflow", "reddiff")  # which are a solver of their own
GIVEN = ("denoiser", "observation", "potential")  # what the caller of a guide gives


def _is_guide(found) -> bool:
    said = inspect.signature(found).return_annotation if inspect.isfunction(found) else None
    return said is Denoiser or (isinstance(said, str) and said.split(".")[-1] == "Denoiser")


KIND = Kind("guide", GUIDES, _is_guide, "a function (denoiser, observation, **options) -> Denoiser, annotated so")


def named_guide(method: str):
    """The guide that `method` names, as a function (denoiser, observation). Raises: ValueError on a name or option that is not known."""
    return named(method, KIND, GIVEN)


def guide(denoiser, observation, method: str):
    """`denoiser` guided towards an observation by the method of this name. Raises: ValueError as `named_guide`, and as the method does."""
    return named_guide(method)(denoiser, observation)
