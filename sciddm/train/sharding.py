"""Where arrays live: a mesh with axes `data` and `fsdp`, and named shardings for batch and state."""

import os

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from sciddm.devices import chosen
from sciddm.errors import UserError


def use_cores(config) -> None:
    """Give this process a virtual CPU device for each core that `config` can use, before jax makes its devices.

    One device keeps little more than one core busy, two keep two. What the user said in JAX_NUM_CPU_DEVICES or XLA_FLAGS stands, and
    so does another platform in JAX_PLATFORMS or --device, and one device that was chosen alone.
    """
    said = "JAX_NUM_CPU_DEVICES" in os.environ or "host_platform_device_count" in os.environ.get("XLA_FLAGS", "")
    if said or jax.config.jax_platforms not in (None, "", "cpu") or jax.config.jax_default_device is not None:
        return
    try:
        jax.config.update("jax_num_cpu_devices", virtual_devices(config, usable_cores()))
    except RuntimeError:  # jax has its devices already: a second run in one process, a config that computes
        return


def virtual_devices(config, cores: int) -> int:
    """The most devices, at most `cores`, that fit config.mesh and divide the batch; 1 where none do, for `make_mesh` to refuse."""
    sizes = [config.mesh.data, config.mesh.fsdp]
    fixed = abs(sizes[0] * sizes[1])

    def fits(count):
        meshes = count % fixed == 0 if -1 in sizes else count == fixed
        return meshes and config.training.batch_size % (count * config.training.accumulate) == 0

    return next((count for count in range(cores, 1, -1) if fixed and fits(count)), 1)


def usable_cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def make_mesh(config) -> Mesh:
    """The mesh of config.mesh.{data, fsdp}; one of them may be -1 and takes the devices that are left.

    Raises: UserError if the sizes don't make up the number of devices, or don't divide the batch.
    """
    sizes, devices = [config.mesh.data, config.mesh.fsdp], len(chosen())
    if 0 not in sizes and sizes.count(-1) == 1 and devices % abs(sizes[0] * sizes[1]) == 0:
        sizes[sizes.index(-1)] = devices // abs(sizes[0] * sizes[1])
    if min(sizes) < 1 or sizes[0] * sizes[1] != devices:
        raise UserError(
            f"config.mesh = data {config.mesh.data}, fsdp {config.mesh.fsdp}: "
            f"expected sizes whose product is {devices} devices, one may be -1"
        )
    if (size := config.training.batch_size) % (devices * config.training.accumulate):
        parts = f" times config.training.accumulate = {config.training.accumulate}" if config.training.accumulate > 1 else ""
        raise UserError(f"config.training.batch_size = {size}: expected a multiple of the {devices} devices{parts}")
    return jax.make_mesh(tuple(sizes), ("data", "fsdp"), axis_types=(AxisType.Auto, AxisType.Auto), devices=chosen())


def batch_sharding(mesh: Mesh) -> NamedSharding:
    """Samples over all devices."""
    return NamedSharding(mesh, PartitionSpec(("data", "fsdp")))


def state_sharding(state, mesh: Mesh):
    """Each leaf split over `fsdp` along its longest axis that divides, and whole on every device where none does."""
    parts = mesh.shape["fsdp"]

    def leaf(x):
        divisible = [axis for axis, size in enumerate(x.shape) if parts > 1 and size % parts == 0 and x.ndim > 1]
        spec = [None] * len(x.shape)
        if divisible:
            spec[max(divisible, key=lambda axis: x.shape[axis])] = "fsdp"
        return NamedSharding(mesh, PartitionSpec(*spec))

    return jax.tree.map(leaf, state)


def place(tree, shardings):
    """Put host arrays, which every process holds whole, where they belong; works over several processes too."""

    def leaf(x, sharding):
        x = np.asarray(x)
        return jax.make_array_from_callback(x.shape, sharding, lambda index: x[index])

    return jax.tree.map(leaf, tree, shardings)
