"""What one does with molecules: make them, find their conformers; kept.py has scaffolds and linkers, wishes.py properties, repair, counts.

x of an answer is as of the domain, in physical units; scores are of RDKit molecules made of it.
"""

import jax
import jax.numpy as jnp
import numpy as np
from rdkit import Chem

from domains.molecules import conformers, metrics, plots
from sciddm import lookahead
from sciddm.keys import seed_of
from sciddm.tasks import Generate, Problem, Task, need


class MoleculeTask(Task):
    """Shared by all: scores of molecules, of which `scored` are shown, and pictures of them. solver, steps, grid: of `Task`."""

    scored = ("valid", "connected", "valid and connected", "unique", "atom stability", "molecule stability")

    def __init__(self, domain, *, solver: str | None = "ddpm", steps: int | None = 50, grid: str | None = "logsnr"):
        super().__init__(domain, solver=solver, steps=steps, grid=grid)

    def metrics(self, samples, problem):
        molecules = self.domain.to_native(samples)
        scores = metrics.scores(molecules, heavy=self.domain.layout.heavy)
        return {name: scores[name] for name in self.scored}

    def plot(self, samples, problem, answers):
        return plots.gallery(self.domain.to_native(samples)[:8])

    def plain(self, model, key, problem, members, **options):
        """What the model gives to the same condition without the guide, by the same steps."""
        return model.draw(key, members, cond=problem.cond, **self.sampling | options)

    def condition(self, example, **given):
        """cond of all answers to an example: as many atoms."""
        mask = np.asarray(self.domain.layout.mask_of(example))[None]
        return self.domain.condition(mask, **given)


class GenerateMolecules(Generate):
    """Molecules out of nothing, of sizes as in the data; beside them as many of the held-out ones, which is the ceiling."""


class Conformers(MoleculeTask):
    """The shape of a given graph: the reference is the data's own geometry, the classical answer RDKit's ETKDG with and without MMFF.

    count: conformers that ETKDG makes, and answers that are scored beside as many; others: of `MoleculeTask`.
    """

    def __init__(self, domain, *, count: int = 8, **sampling):
        super().__init__(domain, **sampling)
        self.count = count

    @classmethod
    def fits(cls, config):
        return "graph" in config.data.conditions and config.data.pairs

    @classmethod
    def check(cls, config, options):
        need(options, "count", options["count"] >= 1, "at least 1")

    def problem(self, key, example):
        graph = jax.tree.map(lambda leaf: np.asarray(leaf)[None], example)
        fixed, mask = self.domain.normalizer.normalize(graph), np.asarray(self.domain.layout.mask_of(graph))
        value = {name: leaf[0] for name, leaf in fixed.items()}
        kept = lookahead.constraints.Fixed({name: jnp.asarray(name != "positions") for name in value}, value)
        cond = self.condition(example, x=graph, atoms=mask)
        return Problem(kept, example, cond=cond, extras={"seed": seed_of(key)})

    def guide(self, denoiser, problem):
        """The network is conditioned on the graph, and the graph is kept exactly."""
        return lookahead.constrain(denoiser, problem.observation)

    def baseline(self, problem):
        reference = self.reference(problem)
        answers = {}
        for name, relax in (("ETKDG", False), ("ETKDG + MMFF", True)):
            found = conformers.etkdg(reference, self.count, seed=problem.extras["seed"] % 2**31, relax=relax)
            if found:
                answers[name] = self.domain.from_native(found)
        return answers

    def reference(self, problem) -> Chem.Mol:
        """The molecule whose conformers are asked for, sanitised."""
        molecule = self.domain.to_native(jax.tree.map(lambda leaf: np.asarray(leaf)[None], problem.truth))[0]
        Chem.SanitizeMol(molecule)
        return molecule

    def metrics(self, samples, problem):
        """In angstrom, of heavy atoms, the best over symmetries: smallest distance of the reference to one of the first
        `count` answers, mean distance of these to it, whether one came within 0.5 angstrom, and the share of
        answers that are molecules. Mirror images count as the same: the graph says nothing of handedness."""
        # as many of ours as of the classical methods, whatever the number of members
        answers = self.domain.to_native(samples)[: self.count]
        matrix = conformers.rmsd_matrix([self.reference(problem)], answers, mirror=True)
        return {
            "MAT [A]": conformers.matching(matrix), "AMR [A]": conformers.average_minimum(matrix),
            "COV 0.5 A": conformers.coverage(matrix, 0.5), "made": float(np.mean(~np.isnan(matrix))),
        }  # fmt: skip

    def plot(self, samples, problem, answers):
        reference, answers = self.reference(problem), self.domain.to_native(samples)[:6]
        # drawn as they were compared: mirrored where that is nearer
        plain, free = (conformers.rmsd_matrix([reference], answers, mirror=mirror)[0] for mirror in (False, True))
        for molecule, turned in zip(answers, free < plain - 1e-6, strict=True):
            if turned:
                molecule.GetConformer().SetPositions(-molecule.GetConformer().GetPositions())
        return plots.overlay(reference, answers)
