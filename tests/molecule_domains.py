"""Domains of molecules for tests: changed, with longer arrays, and with networks that nobody trained."""

import jax
import numpy as np
from flax import nnx

import sciddm as sd
from domains.molecules.domain import MoleculesDomain
from domains.molecules.statistics import OfAtoms
from sciddm.networks import split
from sciddm.networks.kinds import make_network


def changed(config, **keys):
    config = config.copy_and_resolve_references()
    config.data.update(keys)
    return config


def random_denoiser(domain, size, layers=2):
    """A network whose zero layers are filled, small enough that samples stay finite; the same whatever the size."""
    made = make_network({"hidden": 8, "layers": layers}, domain.networks, domain.network_inputs, nnx.Rngs(0))
    network = split(made)
    leaves, structure = jax.tree.flatten(network.params)
    rng = np.random.default_rng(0)
    filled = [leaf + 0.05 * rng.standard_normal(leaf.shape).astype(np.float32) for leaf in leaves]
    process = sd.GaussianProcess.edm(noise=domain.noise)
    return sd.NetworkDenoiser(network.replace(structure.unflatten(filled)), process, "edm", 0.7)


def padded(domain, config, more: int):
    """The same domain with arrays that are longer."""
    n = domain.normalizer
    sizes = np.concatenate([n.sizes, np.zeros(max(more, 0), n.sizes.dtype)])[: len(n.sizes) + more]
    return MoleculesDomain(config, OfAtoms(n.mean, n.std, n.units, n.layout, sizes, n.scalar).to_json())


def example(domain, atoms=7):
    """A held-out molecule with that many heavy atoms."""
    return next(
        x
        for i in range(len(domain.dataset("test")))
        if domain.layout.mask_of(x := domain.dataset("test")[i]["x"]).sum() >= atoms
    )


def draw(domain, task, problem, count=4, steps=6):
    guided = task.guide(random_denoiser(domain, domain.size), problem)
    shapes = jax.tree.map(lambda leaf: (count, *leaf.shape), domain.example)
    samples, _ = sd.sample(jax.random.key(0), guided, shapes, cond=problem.cond, solver="ddpm", steps=steps)
    return jax.tree.map(np.array, domain.normalizer.denormalize(samples))
