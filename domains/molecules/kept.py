"""A part of a molecule is kept exactly, and the rest is made."""

import abc
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
from rdkit import Chem

from domains.molecules import answers as of_answers
from domains.molecules import bonds, fragments, metrics, open_ends
from domains.molecules.brought import TAKES, solid
from domains.molecules.candidates import LONG, best_of
from domains.molecules.given import titled, whole
from domains.molecules.stereo import stereo_of
from domains.molecules.tasks import MoleculeTask
from sciddm import lookahead
from sciddm.errors import UserError
from sciddm.given import say
from sciddm.keys import seed_of
from sciddm.tasks import Problem, need


class Kept(MoleculeTask):
    """A part of a molecule is kept where it is; a subclass says which. Options: of `MoleculeTask`."""

    pieces = 1
    given_names = ("keep", "match", "atoms", "record")

    @property
    def takes(self):
        which = "two or more parts of it" if self.pieces > 1 else "a part of it"
        return (
            f"one molecule ({TAKES}; without positions it gets a shape first), of {', '.join(self.domain.layout.symbols)}; keep=SMARTS "
            f"(match=2: its second match) or keep=0,1,5 (atoms counted from 0 in its order): {which}, all of it otherwise; in a SMILES, * "
            f"where the rest may grow; atoms=12: {self.atoms} in all (trained on {self.sizes})"
        )

    def problem(self, key, example):
        kept = self.choose(np.random.default_rng(seed_of(key)), example)
        return self.of_part(example, np.asarray(self.domain.layout.mask_of(example)), kept, example, {"kept": kept})

    def of_part(self, x, mask, kept, truth, extras) -> Problem:
        """Atoms `kept` of x, (n, ...), are kept, in a molecule with the atoms of `mask`, (n,)."""
        z = self.domain.normalizer.normalize(x)
        block = {
            name: z[name][kept] if name == "features" else z[name][np.ix_(kept, kept)]
            for name in z
            if name != "positions"
        }
        constraint = lookahead.Rigid(*jax.tree.map(jnp.asarray, (z["positions"][kept], kept, block, mask)))
        given = {}
        if "part" in self.domain.data.conditions:
            x = jax.tree.map(lambda leaf: np.asarray(leaf)[None], x)
            atoms = np.isin(np.arange(len(mask)), kept)[None].astype(np.float32)
            given = {"x": x, "atoms": atoms, "distances": True}
        return Problem(constraint, truth, cond=self.domain.condition(mask[None], **given), extras=extras)

    def problem_given(self, key, given):
        brought, values = self.one(given)
        if brought is None:
            raise UserError(f"--given: no molecule; expected {self.takes}")
        heavy, rows = self.domain.layout.heavy, self.rows(brought)
        kept = open_ends.chosen(brought, values.get("keep"), whole(values, "match"), rows, heavy)
        count = fragments.parts(brought.orders[np.ix_(kept, kept)] > 0)[0]
        if count < self.pieces:
            raise UserError(
                f"{brought.where}: what is kept is in one piece, and a linker joins two; keep= says which atoms, or take --task scaffold"
            )
        brought = solid(brought)
        atoms = self._atoms(brought, values, len(kept), len(rows))
        part = open_ends.part_of(brought, kept, rows, atoms, heavy, open_ends.may_open(brought, values.get("keep"), kept))
        slots = self.slots(atoms)
        names = {f"{brought.molecule.GetAtomWithIdx(int(i)).GetSymbol()}{i}" for i in kept}
        if lost := [name for name in stereo_of(brought.molecule, kept).lost if set(name.split("=")) <= names]:
            say(f"{brought.where}: the stereo of {', '.join(lost)} is not held: of its neighbours too few are kept")
        x = self.x_of(brought, part.rows, slots, part.places)
        mask = (np.arange(slots) < atoms).astype(np.float32)
        extras = {
            "brought": brought, "kept": part.places, "part": part, "x": x, "shape": self.shape(slots),
            "left": part.left(np.zeros((1, len(kept))), slots),
            "title": f"{len(kept)} atoms of {brought.name} kept (ringed), {atoms} in all",
        }  # fmt: skip
        return self.of_part(x, mask, part.places, None, extras)

    def _atoms(self, brought, values, kept: int, all_of_it: int) -> int:
        atoms = whole(values, "atoms")
        if atoms is not None and atoms <= kept:
            raise UserError(f"--given atoms={atoms}: {kept} {self.atoms} are kept; expected {kept + 1} or more")
        if atoms is not None:
            return atoms
        sizes = self.domain.normalizer.sizes
        larger = np.arange(kept + 1, len(sizes))
        usual = round(np.average(larger, weights=sizes[kept + 1 :])) if sizes[kept + 1 :].sum() else kept + 3
        atoms, why = (all_of_it, "as many as it has") if all_of_it > kept else (usual, "the mean of the training molecules that are larger")
        why = "three more than kept" if atoms == usual == kept + 3 and not sizes[kept + 1 :].sum() else why
        say(f"{brought.where}: {kept} of {all_of_it} {self.atoms} kept, {atoms} in all, {why}; others by --given atoms={atoms + 1}")
        return atoms

    def write_given(self, problem, folder):
        path, mask = self.write_molecule(problem.truth, folder / "molecule.sdf"), self.domain.layout.mask_of(problem.truth)
        return [str(path), f"keep={','.join(map(str, problem.extras['kept']))}", f"atoms={int(mask.sum())}"]

    def of_members(self, problem, keys):
        part = problem.extras.get("part")
        if part is None or not part.closed:
            return problem
        # Each answer has an open end of its own: one hydrogen less on one of the kept atoms.
        batch = jax.tree.map(lambda leaf: np.repeat(np.asarray(leaf)[None], len(keys), 0), problem.extras["x"])
        lost = part.opened(keys)
        batch["features"][:, part.places, -1] -= lost
        mask = np.repeat(np.asarray(problem.cond["mask"]), len(keys), 0)
        fixed = problem.observation.fixed | {"features": jnp.asarray(self.domain.normalizer.normalize(batch)["features"][:, part.places])}
        given = {}
        if "part" in self.domain.data.conditions:
            atoms = np.isin(np.arange(mask.shape[1]), part.places)[None].astype(np.float32)
            given = {"x": batch, "atoms": np.repeat(atoms, len(keys), 0), "distances": True}
        observation = replace(problem.observation, fixed=fixed)
        extras = problem.extras | {"left": part.left(lost, mask.shape[1])}
        return replace(problem, observation=observation, cond=self.domain.condition(mask, **given), extras=extras)

    def answers(self, model, keys, problem, **options):
        """Where one is no valid molecule in one piece, others are drawn in its place, `candidates.LONG` in all at most; one in pieces is
        nearer to that than one that is no molecule."""
        draw = super().answers

        def judge(x):
            molecules = self.domain.to_native(x)
            return x, np.array([0.5 * (metrics.sanitised(m) is not None) + 0.5 * of_answers.whole_molecule(m) for m in molecules])

        return best_of(lambda some: draw(model, some, problem, **options), keys, judge, LONG)

    def to_native(self, samples, problem):
        molecules = super().to_native(samples, problem)
        if "brought" not in problem.extras:
            return molecules
        whole_parts = self.holds(samples, molecules, problem)
        for molecule, fine in zip(molecules, whole_parts, strict=True):
            if molecule is not None:
                molecule.SetProp("_Name", f"{type(self).__name__.lower()} of {problem.extras['brought'].name}")
                of_answers.noted(molecule, kept=int(fine), kept_atoms=" ".join(map(str, problem.extras["kept"])))
        there = sum(m is not None and m.GetNumAtoms() > 0 for m in molecules)
        if there:
            fine = sum(map(of_answers.whole_molecule, molecules))
            say(f"{fine} of {len(molecules)} answers are valid and in one piece, each the first such of {LONG} candidates at most")
        if there and not whole_parts.all():
            say(f"the part is kept in {int(whole_parts.sum())} of {len(molecules)} answers only: see the field 'kept' of each")
        return molecules

    def holds(self, samples, molecules, problem) -> np.ndarray:
        """(B,) whether each molecule has the kept atoms, their kinds, charges and bonds, within 0.1 angstrom of where they were."""
        kept, brought, rows = problem.extras["kept"], problem.extras["brought"], problem.extras["part"].rows
        points = jnp.asarray(problem.extras["x"]["positions"][kept])
        laid = np.asarray(lookahead.superpose(points, jnp.asarray(samples["positions"][:, kept])))
        near = np.linalg.norm(laid - samples["positions"][:, kept], axis=-1).max(-1) < 0.1
        atoms = [brought.molecule.GetAtomWithIdx(int(i)) for i in rows]
        kinds, orders = [(a.GetAtomicNum(), a.GetFormalCharge()) for a in atoms], brought.orders[np.ix_(rows, rows)]

        def same(molecule):
            if molecule is None or molecule.GetNumAtoms() <= max(kept):
                return False
            found = [molecule.GetAtomWithIdx(int(i)) for i in kept]
            bonds_of = np.rint(Chem.GetAdjacencyMatrix(molecule, useBO=True))[np.ix_(kept, kept)]
            fine = (bonds_of == orders).all() if self.domain.layout.pairs else True
            return fine and [(a.GetAtomicNum(), a.GetFormalCharge()) for a in found] == kinds

        return near & np.array([same(molecule) for molecule in molecules], bool)

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
        """The network is conditioned on the part, and held to it; of what a user brought, valences are kept too."""
        denoiser = lookahead.constrain(denoiser, problem.observation)
        if "left" not in problem.extras or not self.domain.layout.pairs:
            return denoiser
        made = (np.asarray(problem.cond["mask"])[0] > 0) & (problem.extras["left"][0] < 0)
        one = jnp.float32(1.0 / np.max(self.domain.normalizer.std["pairs"]))
        return lookahead.constrain(denoiser, open_ends.Valences(jnp.asarray(problem.extras["left"]), jnp.asarray(made), one))

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
        from domains.molecules import plots

        if "brought" in problem.extras:
            molecules = self.domain.to_native(samples)[:8]
            return titled(plots.gallery(molecules, marked=problem.extras["kept"]), problem)
        truth = jax.tree.map(lambda leaf: np.asarray(leaf)[None], problem.truth)
        molecules = [*self.domain.to_native(truth), *self.domain.to_native(samples)[:7]]
        titles = ["the part is of", *(f"answer {i}" for i in range(1, len(molecules)))]
        return plots.gallery(molecules, titles, marked=problem.extras["kept"])


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

    pieces = 2

    def choose(self, rng, example):
        return fragments.ends(rng, self.orders(example))
