"""What learns: flax nnx modules, split once into structure and parameters."""

from typing import Any

import equinox as eqx
from flax import nnx

from sciddm.networks.conv import conv
from sciddm.networks.dit import DiT
from sciddm.networks.egnn import EGNN
from sciddm.networks.pair_transformer import PairTransformer
from sciddm.networks.space_time import SpaceTime
from sciddm.networks.unet import UNet

__all__ = ["EGNN", "DiT", "Network", "PairTransformer", "SpaceTime", "UNet", "conv", "split"]


class Network(eqx.Module):
    """An nnx module as a pytree: the static structure, and the parameters as a nested dict of arrays."""

    graphdef: Any = eqx.field(static=True)
    params: dict

    def __call__(self, x, noise_level, cond=None):
        return nnx.merge(self.graphdef, self._state())(x, noise_level, cond)

    def replace(self, params) -> "Network":
        """The same structure with other parameters: an average, a restored checkpoint."""
        return Network(self.graphdef, params)

    def _state(self):
        return nnx.State(self.params)


def split(module: nnx.Module) -> Network:
    """Structure and parameters of a freshly made module; what is jitted from here on never sees nnx again."""
    graphdef, state = nnx.split(module)
    return Network(graphdef, nnx.to_pure_dict(state))
