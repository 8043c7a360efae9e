"""Instruments, potentials and constraints of a domain's fields by name, in physical units, as the denoiser's guides see them."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from sciddm.arithmetic import as_structs
from sciddm.errors import UserError, in_words
from sciddm.lookahead import constrain, steer
from sciddm.lookahead.by_name import guide
from sciddm.lookahead.observe.joint import join
from sciddm.lookahead.observe.observation import Observation
from sciddm.tasks.steered import METHOD


class OfFields(eqx.Module):
    """A function of fields by name in physical units, as one of normalised x; `domain` knows names and units.

    A module and no closure, so that problems of one shape share a compiled program.
    """

    function: Any
    domain: Any = eqx.field(static=True)

    def __call__(self, z):
        return self.function(self.domain.by_name(self.domain.normalizer.denormalize(z)))


class PotentialOfFields(OfFields):
    """A function of fields by name -> (B,) nats, as a potential of normalised x."""

    def __call__(self, z, t=None):
        return super().__call__(z)


class ConstraintOfFields(OfFields):
    """A projection of fields by name, (..) -> those of them that it moves, as one of normalised x."""

    def __call__(self, z):
        x = self.domain.normalizer.denormalize(z)
        moved = self.domain.with_fields(x, self.function(self.domain.by_name(x)))
        return self.domain.normalizer.normalize(moved)


def observe(domain, instrument: Callable, value, noise_std) -> Observation:
    """y = instrument(fields) + noise as an observation of normalised x; see `Model.observe`.

    Raises: UserError where the instrument fails on fields of the domain, or value does not fit what it gives.
    """
    seen = _tried(domain, instrument, "instrument")
    try:
        found = Observation(OfFields(instrument, domain), value, noise_std)
        jax.eval_shape(found.log_likelihood, _one(domain))
    except (TypeError, ValueError) as error:
        shapes = jax.tree.map(lambda leaf: leaf.shape[1:], seen)
        raise UserError(f"observe: {error}; the instrument gives {shapes} a sample") from error
    return found


def potential(domain, function: Callable) -> PotentialOfFields:
    """log h(fields) in nats as a potential of normalised x. Raises: UserError where it does not give one number a sample."""
    seen = _tried(domain, function, "potential")
    if getattr(seen, "shape", None) != (1,):
        raise UserError(f"potential: gives {jax.tree.map(lambda leaf: leaf.shape, seen)} of one sample; expected (1,), nats a sample")
    return PotentialOfFields(function, domain)


def constraint(domain, projection: Callable) -> ConstraintOfFields:
    """The nearest fields that satisfy a constraint, as a projection of normalised x. Raises: UserError where it gives other fields."""
    fields, seen = domain.by_name(_one(domain, physical=True)), _tried(domain, projection, "constrain")
    if not isinstance(seen, Mapping) or not set(seen) <= set(fields):
        raise UserError(f"constrain: expected the fields that are moved by name, of {sorted(fields)}, such as {{name: field}}")
    for name, leaf in seen.items():
        if leaf.shape != fields[name].shape:
            raise UserError(f"constrain: {name} has shape {leaf.shape[1:]}, expected {fields[name].shape[1:]}")
    return ConstraintOfFields(projection, domain)


def asked(denoiser, wanted, method: str):
    """`denoiser` steered towards all of `wanted`: one of what `Model.observe`, `potential` and `constrain` make, or several.

    Observations are joined into one and met by `method`; a potential draws at x0_hat, for its gradient through a trained network explodes
    at strong noise; constraints come last, so that they hold exactly.
    """
    wanted = tuple(wanted) if isinstance(wanted, (list, tuple)) else (wanted,)
    if unknown := [one for one in wanted if not callable(one)]:
        raise UserError(f"observe: a {type(unknown[0]).__name__}; expected what model.observe, model.potential or model.constrain makes")
    seen = [one for one in wanted if isinstance(one, Observation)]
    try:
        denoiser = guide(denoiser, join(seen), method) if seen else denoiser
    except (TypeError, ValueError) as error:
        raise UserError(f"method {method!r} does not go with the observation: {error}") from error
    for one in wanted:
        if not isinstance(one, (Observation, ConstraintOfFields)):
            denoiser = steer(denoiser, one, through="x0")
    for one in wanted:
        denoiser = constrain(denoiser, one) if isinstance(one, ConstraintOfFields) else denoiser
    return denoiser


def with_more(denoiser, task, problem, observe=None, method: str | None = None):
    """(task, denoiser, problem) of a task of which more is known than its problem says, or which another method is to meet.

    Observations are joined with the problem's own. Raises: UserError where the task is not steered by observations, or its answers are no
    samples of the model's own size.
    """
    what = type(task).__name__
    steered = hasattr(task, "method") and isinstance(problem.observation, Observation)
    if method is not None and steered:
        task = copy.copy(task)
        task.method = method
    elif method is not None and observe is None:
        raise UserError(f"method = {method!r}: {what} is not steered by an observation; leave it out")
    if observe is None:
        return task, denoiser, problem
    if not task.observable:
        raise UserError(f"observe: {what} makes more than one sample of the model's size; observe a single one")
    wanted = tuple(observe) if isinstance(observe, (list, tuple)) else (observe,)
    if isinstance(problem.observation, Observation):
        seen = [one for one in wanted if isinstance(one, Observation)]
        problem = replace(problem, observation=join([problem.observation, *seen]))
        wanted = tuple(one for one in wanted if not isinstance(one, Observation))
    return task, asked(denoiser, wanted, method or METHOD) if wanted else denoiser, problem


def _one(domain, physical=False):
    x = jax.tree.map(lambda leaf: jnp.zeros((1, *leaf.shape), leaf.dtype), as_structs(domain.example))
    return domain.normalizer.denormalize(x) if physical else x


def _tried(domain, function, what: str):
    # What it gives of one sample, as shapes.
    try:
        return jax.eval_shape(OfFields(function, domain), _one(domain))
    except Exception as error:  # whatever is wrong with the user's own function
        fields = jax.eval_shape(domain.by_name, _one(domain, physical=True))
        known = ", ".join(f"{name} {tuple(leaf.shape[1:])}" for name, leaf in fields.items())
        raise UserError(f"{what}: {in_words(error)}; its argument has a batch of fields by name: {known}") from error


def physical_value(value) -> Any:
    """A value that a user measured as arrays: numbers, lists, numpy, xarray; a dict or a tuple of them is a pytree."""
    if isinstance(value, dict):
        return {name: physical_value(one) for name, one in value.items()}
    if isinstance(value, tuple):
        return tuple(physical_value(one) for one in value)
    return np.asarray(getattr(value, "values", value))
