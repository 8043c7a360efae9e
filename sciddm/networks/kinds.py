"""Networks by kind: config.network's `kind`, with the arguments that the domain gives, the others being keys of config.network."""

from collections.abc import Callable, Mapping

import jax
from flax import nnx

from sciddm.errors import UserError
from sciddm.named import Kind, check_options, find, options_of


def network_kind(config, kinds: Mapping[str, Callable]) -> tuple[str, Callable, dict]:
    """(name, class, options) of config.network; without `kind` the first of `kinds`.

    Raises: UserError on a kind that is neither one of `kinds` nor package.module:Name.
    """
    if not kinds:
        raise UserError("the domain names no networks: `networks` is kind -> class")
    options = dict(config)
    name = options.pop("kind", None) or next(iter(kinds))
    try:
        return name, find(name, Kind("network", kinds, _is_network, "a class of flax.nnx.Module")), options
    except ValueError as error:
        raise UserError(f"config.network.kind = {name!r}: {error}") from error


def make_network(config, kinds: Mapping[str, Callable], inputs: Mapping, rngs: nnx.Rngs) -> nnx.Module:
    """The network of config.network. inputs: arguments that the domain gives, of which a kind takes those that it has.

    Raises: UserError that names the key at fault, with the near match.
    """
    name, kind, options = network_kind(config, kinds)
    taken = {key: value for key, value in inputs.items() if key in options_of(kind)}
    try:
        check_options(kind, options, (*taken, "rngs"))
        return kind(**taken, **options, rngs=rngs)
    except (TypeError, ValueError) as error:
        if "missing" in str(error) and "argument" in str(error):
            raise UserError(
                f"config.network: {error}; an option of config.network, or of what the domain gives: `network_inputs`, and in its `outline`"
            ) from error
        raise UserError(
            f"config.network.{error}" if " is not known" in str(error) else f"config.network: {error}"
        ) from error


def check_network(config, kinds: Mapping[str, Callable], inputs: Mapping) -> None:
    """The same for nothing: no array is made. Raises: UserError as `make_network`."""
    jax.eval_shape(lambda: nnx.split(make_network(config, kinds, inputs, nnx.Rngs(0)))[1])


def _is_network(found) -> bool:
    return isinstance(found, type) and issubclass(found, nnx.Module)
