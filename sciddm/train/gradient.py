"""Loss and gradient of a batch, in parts: fewer activations at once, and on a CPU few enough to stay in its cache."""

import math

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jax.sharding import Mesh, PartitionSpec

from sciddm.denoiser import NetworkDenoiser
from sciddm.objective import Objective
from sciddm.train.precision import in_precision

# What one device keeps for the backward pass of a part, on a CPU: of 10 to 160 MB, about 40 took the least time
# (`scripts/benchmarks/results/training.md`).
CACHED = 40 * 2**20


def make_loss(config, objective: Objective, mesh: Mesh | None = None):
    """A pure function (params, denoiser, key, x_0, cond, loss_weight) -> (loss, gradient by the network's parameters).

    The batch goes through in parts, one after the other, whose gradients are added up: at least config.training.accumulate of them,
    and on a CPU as many as `CACHED` asks. Number of parts and devices change the rounding alone. mesh: where the batch is split over
    its devices and parameters are whole on each, every device adds up its own parts and the sums meet once.
    """
    training, devices = config.training, 1 if mesh is None else mesh.size
    apart = devices > 1 and mesh.shape["fsdp"] == 1

    def of_part(params, denoiser, keys, t, x_0, cond, loss_weight):
        model = in_precision(with_params(denoiser, params), training.precision)
        return objective.at(model, keys, t, x_0, cond, loss_weight).mean()

    def in_parts(params, denoiser, batch):
        slope = jax.value_and_grad(of_part)
        count = parts_of(of_part, params, denoiser, batch, training.accumulate, 1 if apart else devices)
        if count == 1:
            return slope(params, denoiser, *batch)
        # Part j is rows j, j + count, ...: has rows of all devices where the batch is split over some.
        parts = jax.tree.map(lambda leaf: leaf.reshape(-1, count, *leaf.shape[1:]).swapaxes(0, 1), batch)

        def add(total, part):
            return jax.tree.map(jnp.add, total, slope(params, denoiser, *part)), None

        zero = (jnp.float32(0.0), jax.tree.map(jnp.zeros_like, params))
        return jax.tree.map(lambda total: total / count, jax.lax.scan(add, zero, parts)[0])

    def loss_and_gradient(params, denoiser, key, x_0, cond, loss_weight):
        batch = (*objective.draws(denoiser, key, x_0), x_0, cond, loss_weight)
        if not apart:
            return in_parts(params, denoiser, batch)

        def of_device(params, batch):
            # As one vector: a sum over devices costs by the number of arrays, not by their size.
            flat, as_tree = ravel_pytree(in_parts(params, denoiser, batch))
            return as_tree(jax.lax.pmean(flat, "data"))

        whole, split = PartitionSpec(), PartitionSpec("data")
        return jax.shard_map(of_device, mesh=mesh, in_specs=(whole, split), out_specs=whole, check_vma=False)(params, batch)

    return loss_and_gradient


def parts_of(loss, params, denoiser, batch, accumulate: int, devices: int = 1) -> int:
    """Into how many parts a batch goes that lies on so many devices: a multiple of `accumulate` that divides what each of them has.

    loss: (params, denoiser, *batch) -> scalar, what is differentiated; only shapes are looked at.
    """
    rows = jax.tree.leaves(batch)[0].shape[0] // devices
    if jax.default_backend() != "cpu":
        return accumulate
    kept = jax.eval_shape(lambda params, batch: jax.vjp(lambda params: loss(params, denoiser, *batch), params)[1], params, batch)
    size = (_bytes(kept) - _bytes(params)) / devices
    # A part costs a gradient to add up: it pays where what it keeps is no less than that, and no sliver.
    least = max(_bytes(params), CACHED / 4)
    counts = [n for n in range(accumulate, rows + 1, accumulate) if rows % n == 0 and (n == accumulate or size >= n * least)]
    return next((count for count in counts if size <= count * CACHED), counts[-1])


def _bytes(tree) -> int:
    return sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree) if hasattr(leaf.dtype, "itemsize"))


def with_params(denoiser: NetworkDenoiser, params) -> NetworkDenoiser:
    """The same denoiser with other network parameters."""
    return NetworkDenoiser(denoiser.network.replace(params), denoiser.process, denoiser.prediction, denoiser.sigma_data, denoiser.grid)
