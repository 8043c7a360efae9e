"""A part of a molecule is kept exactly, and the rest is made."""

import abc

import jax
import jax.numpy as jnp
import numpy as np
from rdkit import Chem

from domains.molecules import bonds, fragments, plots
from domains.molecules.tasks import MoleculeTask
from sciddm import lookahead
from sciddm.keys import seed_of
from sciddm.tasks import Problem, need


class Kept(MoleculeTask):
    """A part of a molecule is kept where it is; a subclass says which. Options: of `MoleculeTask`."""

    def problem(self, key, example):
        kept = self.choose(np.random.default_rng(seed_of(key)), example)
        z = self.domain.normalizer.normalize(example)
        block = {
            name: z[name][kept] if name == "features" else z[name][np.ix_(kept, kept)]
            for name in z
            if name != "positions"
        }
        mask = np.asarray(self.domain.layout.mask_of(example))
        constraint = lookahead.Rigid(*jax.tree.map(jnp.asarray, (z["positions"][kept], kept, block, mask)))
        given = {}
        if "part" in self.domain.data.conditions:
            x = jax.tree.map(lambda leaf: np.asarray(leaf)[None], example)
            atoms = np.isin(np.arange(len(mask)), kept)[None].astype(np.float32)
            given = {"x": x, "atoms": atoms, "distances": True}
        return Problem(constraint, example, cond=self.condition(example, **given), extras={"kept": kept})

    @abc.abstractmethod
    def choose(self, rng, example) -> np.ndarray:
        """Indices of the atoms that are kept."""

    def orders(self, example) -> np.ndarray:
        """(n, n) bond orders among the atoms that are there."""
        there = np.flatnonzero(self.domain.layout.mask_of(example))
        if self.domain.layout.pairs:
            return np.asarray(self.domain.layout.read(example).orders)[np.ix_(there, there)]
        molecule = self.domain.to_native(jax.tree.map(lambda leaf: leaf[None], example))[0]
        return np.rint(Chem.GetAdjacencyMatrix(molecule, useBO=True)).astype(int)

    def guide(self, denoiser, problem):
        return lookahead.constrain(denoiser, problem.observation)

    def baseline(self, problem):
        """Training molecules that hold the part, by substructure search, laid upon it; none where there is none."""
        found = fragments.search(self.domain, problem.truth, problem.extras["kept"], self.orders(problem.truth))
        return {"database search": self.domain.from_native(found)} if found else {}

    def controls(self, model, key, problem, members, **options):
        """The network conditioned on the part, where it was trained on parts, and not held to it."""
        if "part" not in self.domain.data.conditions:
            return {}
        return {"conditioned, not held": self.plain(model, key, problem, members, **options)}

    def metrics(self, samples, problem):
        kept, truth = problem.extras["kept"], problem.truth["positions"]
        laid = np.asarray(lookahead.superpose(jnp.asarray(truth[kept]), jnp.asarray(samples["positions"][:, kept])))
        off = np.linalg.norm(laid - samples["positions"][:, kept], axis=-1).max(-1)
        stable = []  # of the atoms that were made; the others came with theirs
        for molecule in self.domain.to_native(samples):
            grown = np.ones(molecule.GetNumAtoms() if molecule else 1, bool)
            grown[kept if molecule else 0] = False
            heavy = np.array([atom.GetAtomicNum() > 1 for atom in molecule.GetAtoms()]) if molecule else grown
            stable.append(bonds.predicted_stable(molecule)[grown & heavy] if molecule else [False])
        made = {"kept within 0.1 A": float(np.mean(off < 0.1)), "off [A]": float(np.mean(off))}
        return made | {"grown atoms stable": float(np.mean(np.concatenate(stable)))} | super().metrics(samples, problem)

    def plot(self, samples, problem, answers):
        truth = jax.tree.map(lambda leaf: np.asarray(leaf)[None], problem.truth)
        molecules = [*self.domain.to_native(truth), *self.domain.to_native(samples)[:7]]
        return plots.gallery(molecules, ["the part is of", *(f"answer {i}" for i in range(1, len(molecules)))])


class Scaffold(Kept):
    """A part of a molecule is kept, with its hydrogens where they were, so that open valences say where the rest may grow.

    kept: share of the atoms that is kept; others: of `MoleculeTask`.
    """

    def __init__(self, domain, *, kept: float = 0.6, **sampling):
        super().__init__(domain, **sampling)
        self.kept = kept

    @classmethod
    def check(cls, config, options):
        need(options, "kept", 0 < options["kept"] < 1, "a share of the atoms, above 0 and below 1")

    def choose(self, rng, example):
        return fragments.scaffold(rng, self.orders(example), self.kept)


class Linker(Kept):
    """Two parts are kept where they are, and what joins them is made."""

    def choose(self, rng, example):
        return fragments.ends(rng, self.orders(example))
