"""What one does with molecules: make them, find their conformers; kept.py has scaffolds and linkers, wishes.py properties, repair, counts.

x of an answer is as of the domain, in physical units; scores are of RDKit molecules made of it.
"""

import jax
import jax.numpy as jnp
import numpy as np
from rdkit import Chem

from domains.molecules import conformers, metrics, shapes
from domains.molecules.brought import TAKES
from domains.molecules.candidates import best_of
from domains.molecules.given import Brings, titled
from domains.molecules.stereo import stereo_of
from sciddm import lookahead
from sciddm.errors import UserError
from sciddm.keys import seed_of
from sciddm.tasks import Generate, Problem, Task, need

MANY = 10_000  # conformers by ETKDG
GREY = "the nearest shape by ETKDG and MMFF"


class MoleculeTask(Brings, Task):
    """Shared by all: scores of molecules, of which `scored` are shown, and pictures of them. solver, steps, grid: of `Task`."""

    scored = ("valid", "connected", "valid and connected", "unique", "atom stability", "molecule stability")

    def __init__(self, domain, *, solver: str | None = "ddpm", steps: int | None = 50, grid: str | None = "logsnr"):
        super().__init__(domain, solver=solver, steps=steps, grid=grid)

    def metrics(self, samples, problem):
        molecules = self.domain.to_native(samples)
        scores = metrics.scores(molecules, heavy=self.domain.layout.heavy)
        return {name: scores[name] for name in self.scored}

    def plot(self, samples, problem, answers):
        from domains.molecules import plots

        return titled(plots.gallery(self.domain.to_native(samples)[:8]), problem)

    def plain(self, model, key, problem, members, **options):
        """What the model gives to the same condition without the guide, by the same steps."""
        return model.draw(key, members, cond=problem.cond, **self.sampling | options)

    def condition(self, example, **given):
        """cond of all answers to an example: as many atoms."""
        mask = np.asarray(self.domain.layout.mask_of(example))[None]
        return self.domain.condition(mask, **given)


class GenerateMolecules(Brings, Generate):
    """Molecules out of nothing, of sizes as in the data; beside them as many of the held-out ones, which is the ceiling."""

    @property
    def given_names(self):
        value = (self.domain.data.property,) if "property" in self.domain.data.conditions else ()
        return ("atoms", *value, "record")

    @property
    def takes(self):
        named = self.domain.data.property if "property" in self.domain.data.conditions else ""
        mean, std = self.domain.normalizer.scalar
        value = f"; {named}=2.5, which the network is conditioned on (trained on {mean:.3g} +- {std:.2g})" if named else ""
        return (
            f"nothing, for sizes as in the data; atoms=12, the number of {self.atoms} of each answer (trained on {self.sizes}), or a "
            f"molecule of which it is taken ({TAKES}){value}"
        )

    def problem_given(self, key, given):
        brought, values = self.one(given)
        value = self.value(values)
        if not given:
            return Problem()
        title = ", ".join(f"{name} = {text}" for name, text in values.items()) or f"as many atoms as {brought.name}"
        return self.sized(brought, values, None if value is None else value[1], title=title)

    def write_given(self, problem, folder):
        return []

    def plot(self, samples, problem, answers):
        return titled(super().plot(samples, problem, answers), problem)


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
        need(options, "count", 1 <= options["count"] <= MANY, f"1 to {MANY}")

    given_names = ("record",)

    @property
    def takes(self):
        return (
            f"one molecule, whose graph is kept, its stereo and charges too: {TAKES}; of {', '.join(self.domain.layout.symbols)}, trained "
            f"on {self.sizes} {self.atoms}"
        )

    def problem(self, key, example):
        return self.of_graph(example, example, {"seed": seed_of(key)})

    def of_graph(self, x, truth, extras) -> Problem:
        """The shape of the graph of x, (n, ...), whose positions are not looked at."""
        graph = jax.tree.map(lambda leaf: np.asarray(leaf)[None], x)
        fixed, mask = self.domain.normalizer.normalize(graph), np.asarray(self.domain.layout.mask_of(graph))
        value = {name: leaf[0] if name != "positions" else np.zeros_like(leaf[0]) for name, leaf in fixed.items()}
        kept = lookahead.constraints.Fixed({name: jnp.asarray(name != "positions") for name in value}, value)
        return Problem(kept, truth, cond=self.condition(x, x=graph, atoms=mask), extras=extras)

    def problem_given(self, key, given):
        brought, _ = self.one(given)
        if brought is None:
            raise UserError(f"--given: no molecule; expected {self.takes}")
        if brought.pieces > 1:
            raise UserError(f"{brought.where}: is in {brought.pieces} pieces; expected one molecule, in one piece")
        if brought.caps:
            raise UserError(f"{brought.where}: has an open end (*); expected a whole molecule, or --task scaffold to let it grow")
        rows = self.rows(brought)
        x = self.x_of(brought, rows, self.slots(len(rows)))
        graph = shapes.Graph(brought, rows, seed_of(key), stereo_of(brought.molecule, rows))
        graph.say_at_first()
        extras = {"brought": graph, "shape": self.shape(len(x["positions"])), "title": f"conformers of {brought.name}"}
        return self.of_graph(x, None, extras)

    def write_given(self, problem, folder):
        return [str(self.write_molecule(problem.truth, folder / "molecule.sdf"))]

    def answers(self, model, keys, problem, **options):
        draw = super().answers
        return best_of(lambda some: draw(model, some, problem, **options), keys, problem.extras["brought"].judge)

    def to_native(self, samples, problem):
        molecules = super().to_native(samples, problem)
        if "brought" in problem.extras:
            shapes.note(problem.extras["brought"], molecules, samples["positions"])
        return molecules

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
        from domains.molecules import plots

        if "brought" in problem.extras:
            return titled(self._beside_references(samples, problem), problem)
        reference, answers = self.reference(problem), self.domain.to_native(samples)[:6]
        # drawn as they were compared: mirrored where that is nearer
        plain, free = (conformers.rmsd_matrix([reference], answers, mirror=mirror)[0] for mirror in (False, True))
        for molecule, turned in zip(answers, free < plain - 1e-6, strict=True):
            if turned:
                molecule.GetConformer().SetPositions(-molecule.GetConformer().GetPositions())
        return plots.overlay(reference, answers, called="the data's own shape")

    def _beside_references(self, samples, problem):
        from domains.molecules import plots

        # Each answer on the nearest of RDKit's conformers, mirrored where that is nearer and no centre was given.
        graph, molecules = problem.extras["brought"], self.domain.to_native(samples)[:6]
        distances = graph.distances(molecules)
        if not np.isfinite(distances).all():
            return plots.gallery(molecules)
        nearest = [graph.references[i] for i in distances.argmin(0)]
        plain = conformers.rmsd_matrix(graph.references, molecules).min(0)
        for molecule, turned in zip(molecules, distances.min(0) < plain - 1e-6, strict=True):
            if turned:
                molecule.GetConformer().SetPositions(-molecule.GetConformer().GetPositions())
        return plots.overlay(nearest, molecules, called=GREY)
