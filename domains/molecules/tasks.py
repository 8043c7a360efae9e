"""What one does with molecules: make them, find their conformers, keep a part and grow the rest, wish for a property, mend, count.

x of an answer is as of the domain, in physical units; scores are of RDKit molecules made of it.
"""

import hashlib

import jax
import jax.numpy as jnp
import numpy as np
from rdkit import Chem

from domains.molecules import bonds, conformers, fragments, metrics, plots, potentials, regressor
from domains.molecules.descriptors import DESCRIPTORS, descriptor
from sciddm import guidance, lookahead, particles
from sciddm.domain import Problem, Task, get_reward
from sciddm.errors import UserError


class MoleculeTask(Task):
    """Shared by all: scores of molecules, of which `scored` are shown, and pictures of them."""

    scored = ("valid", "connected", "valid and connected", "unique", "atom stability", "molecule stability")

    @classmethod
    def fits(cls, domain) -> bool:
        """Whether a domain with these options can do it."""
        return True

    def __init__(self, domain):
        self.domain, self.options = domain, domain.data.tasks
        self.sampling = {key: self.options[key] or None for key in ("solver", "steps", "grid")}

    def guide(self, denoiser, problem):
        return denoiser

    def baseline(self, problem):
        return {}

    def metrics(self, samples, problem):
        molecules = self.domain.to_native(samples)
        scores = metrics.scores(molecules, heavy=self.domain.layout.heavy)
        return {name: scores[name] for name in self.scored}

    def plot(self, samples, problem):
        return plots.gallery(self.domain.to_native(samples)[:8])

    def plain(self, model, key, problem, members, **options):
        """What the model gives to the same condition without the guide, by the same steps."""
        return model.draw(key, members, cond=problem.cond, **self.sampling | options)

    def condition(self, example, **told):
        """cond for all answers to an example: as many atoms."""
        mask = np.asarray(self.domain.layout.mask_of(example))[None]
        return self.domain.condition(mask, **told)


class Generate(MoleculeTask):
    """Molecules out of nothing, of sizes as in the data; beside them as many of the held-out ones, which is the ceiling."""

    def __init__(self, domain):
        super().__init__(domain)
        self.sampling = {}

    def problem(self, key, example):
        return Problem({}, example, extras={"seed": seed_of(key)})

    def baseline(self, problem):
        """Held-out molecules: what the data themselves score."""
        test = self.domain.molecules("test")
        chosen = np.random.default_rng(problem.extras["seed"]).choice(len(test), min(len(test), 500), replace=False)
        layout = self.domain.layout
        return {"held-out data": layout.expand(layout.pack(test.select(chosen), self.domain.size))}

    def metrics(self, samples, problem):
        return metrics.scores(self.domain.to_native(samples), known=self.domain.known, heavy=self.domain.layout.heavy)


class Conformers(MoleculeTask):
    """The shape of a given graph: the reference is the data's own geometry, the classical answer RDKit's ETKDG with and without MMFF."""

    @classmethod
    def fits(cls, domain):
        return "graph" in domain.data.conditions and domain.layout.pairs

    def problem(self, key, example):
        graph = jax.tree.map(lambda leaf: np.asarray(leaf)[None], example)
        fixed, mask = self.domain.normalizer.normalize(graph), np.asarray(self.domain.layout.mask_of(graph))
        told = self.condition(example, x=graph, atoms=mask)
        return Problem(fixed, example, cond=told, extras={"seed": seed_of(key)})

    def guide(self, denoiser, problem):
        """Graphs are told to the network, and kept exactly."""
        value = {name: leaf[0] for name, leaf in problem.observation.items()}
        mask = {name: jnp.asarray(name != "positions") for name in value}
        return lookahead.constrain(denoiser, lookahead.constraints.Fixed(mask, value))

    def baseline(self, problem):
        reference = self.reference(problem)
        answers = {}
        for name, relax in (("ETKDG", False), ("ETKDG + MMFF", True)):
            found = conformers.etkdg(
                reference, self.options.conformers, seed=problem.extras["seed"] % 2**31, relax=relax
            )
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
        `config.data.tasks.conformers` answers, mean distance of these to it, whether one came within 0.5 angstrom, and the share of
        answers that are molecules. Mirror images count as the same: the graph says nothing of handedness."""
        # as many of ours as of the classical methods, whatever the number of members
        answers = self.domain.to_native(samples)[: self.options.conformers]
        matrix = conformers.rmsd_matrix([self.reference(problem)], answers, mirror=True)
        return {
            "MAT [A]": conformers.matching(matrix), "AMR [A]": conformers.average_minimum(matrix),
            "COV 0.5 A": conformers.coverage(matrix, 0.5), "made": float(np.mean(~np.isnan(matrix))),
        }  # fmt: skip

    def plot(self, samples, problem):
        reference, answers = self.reference(problem), self.domain.to_native(samples)[:6]
        # drawn as they were compared: mirrored where that is nearer
        plain, free = (conformers.rmsd_matrix([reference], answers, mirror=mirror)[0] for mirror in (False, True))
        for molecule, turned in zip(answers, free < plain - 1e-6, strict=True):
            if turned:
                molecule.GetConformer().SetPositions(-molecule.GetConformer().GetPositions())
        return plots.overlay(reference, answers)


class Scaffold(MoleculeTask):
    """A part of a molecule is kept, with its hydrogens where they were, so that open valences say where the rest may grow."""

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
        told = {}
        if "part" in self.domain.data.conditions:
            x = jax.tree.map(lambda leaf: np.asarray(leaf)[None], example)
            atoms = np.isin(np.arange(len(mask)), kept)[None].astype(np.float32)
            told = {"x": x, "atoms": atoms, "distances": True}
        return Problem(constraint, example, cond=self.condition(example, **told), extras={"kept": kept})

    def choose(self, rng, example) -> np.ndarray:
        """Indices of the atoms that are kept."""
        return fragments.scaffold(rng, self.orders(example), self.options.kept)

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
        """The network told of the part, where it was trained on that, and not held to it."""
        if "part" not in self.domain.data.conditions:
            return {}
        return {"told, not held": self.plain(model, key, problem, members, **options)}

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

    def plot(self, samples, problem):
        truth = jax.tree.map(lambda leaf: np.asarray(leaf)[None], problem.truth)
        molecules = [*self.domain.to_native(truth), *self.domain.to_native(samples)[:7]]
        return plots.gallery(molecules, ["the part is of", *(f"answer {i}" for i in range(1, len(molecules)))])


class Linker(Scaffold):
    """Two parts are kept where they are, and what joins them is made."""

    def choose(self, rng, example):
        return fragments.ends(rng, self.orders(example))


class Property(MoleculeTask):
    """Molecules with a wanted value of config.data.property: the network is told it, and what it says of it is amplified; or a regressor
    of noisy molecules draws a network that is told nothing (config.data.tasks.method).

    The wanted value is `config.data.tasks.target` standard deviations from the mean; a hit is valid, connected and within a quarter of one,
    by RDKit for logP and QED.
    """

    METHODS = ("classifier-free", "regressor")

    @classmethod
    def fits(cls, domain):
        return "property" in domain.data.conditions and domain.data.property in DESCRIPTORS

    def __init__(self, domain):
        super().__init__(domain)
        if self.options.method not in self.METHODS:
            raise UserError(f"config.data.tasks.method = {self.options.method!r}: expected one of {list(self.METHODS)}")

    def problem(self, key, example):
        told = self.condition(example, scalar=self.options.target)
        mean, std = self.domain.normalizer.scalar
        return Problem({"target": mean + std * self.options.target}, example, cond=told, extras={"width": 0.25 * std})

    def guide(self, denoiser, problem):
        mask, wish = problem.cond["mask"], self.options
        if wish.method == "classifier-free":
            return guidance.classifier_free(denoiser, wish.guidance, unconditional=self.domain.condition(mask))
        found, blank = (
            problem.extras["regressor"],
            jax.tree.map(lambda leaf: jnp.zeros((1, *leaf.shape)), self.domain.example),
        )
        mean, std = regressor.Mean(found, mask), regressor.Spread(found, mask, blank)
        return guidance.regressor(denoiser, mean, wish.target, std, wish.guidance)

    def depends(self, model):
        path = model.workdir / regressor.FILE
        if self.options.method != "regressor" or not path.exists():
            return ""
        return hashlib.sha256(path.read_bytes()).hexdigest()

    def solve(self, model, key, problem, members, **options):
        if self.options.method == "regressor":
            told = self.domain.condition(problem.cond["mask"])
            extras = {**problem.extras, "regressor": regressor.load(model)}
            problem = Problem(problem.observation, problem.truth, told, extras)
        return super().solve(model, key, problem, members, **options)

    def controls(self, model, key, problem, members, **options):
        """unguided: the model told nothing, at equal network calls, of which classifier-free guidance has two a step."""
        told = self.domain.condition(problem.cond["mask"])
        steps = options.pop("steps", None) or self.sampling["steps"]
        calls = 2 if self.options.method == "classifier-free" else 1
        return {"unguided": model.draw(key, members, cond=told, **self.sampling | options | {"steps": calls * steps})}

    def baseline(self, problem):
        return {}

    def metrics(self, samples, problem):
        molecules = [m if m and len(Chem.GetMolFrags(m)) == 1 else None for m in self.domain.to_native(samples)]
        values = np.asarray([descriptor(self.domain.data.property, molecule) for molecule in molecules])
        hit = np.abs(values - problem.observation["target"]) <= problem.extras["width"]
        there = values[np.isfinite(values)]
        about = {
            "hits": float(hit.mean()),
            f"mean {self.domain.data.property}": float(there.mean()) if len(there) else float("nan"),
        }
        return about | super().metrics(samples, problem)


class Repair(MoleculeTask):
    """Molecules whose valences add up and whose atoms keep apart: potentials of the expected molecule, by lookahead.

    Beside it the same network without them, at equal calls, and relaxed by MMFF at the end.
    """

    scored = (*MoleculeTask.scored, "valid by RDKit")

    def problem(self, key, example):
        return Problem({}, example, cond=self.condition(example))

    def guide(self, denoiser, problem):
        weights = {name: jnp.asarray(value, jnp.float32) for name, value in self.options.repair.items()}
        std = jax.tree.map(jnp.asarray, self.domain.normalizer.std)
        layout = self.domain.layout
        potential = potentials.Chemistry(layout=layout, std=std, process=denoiser.process, **weights)
        steered = lookahead.steer(denoiser, potential, through="x0")
        return lookahead.constrain(steered, potentials.Hydrogens(layout, std)) if layout.heavy else steered

    def controls(self, model, key, problem, members, **options):
        plain = self.plain(model, key, problem, members, **options)
        relaxed = plain["positions"].copy()
        for i, (molecule, there) in enumerate(
            zip(self.domain.to_native(plain), self.domain.layout.mask_of(plain), strict=True)
        ):
            if molecule is not None:  # the atoms of x come first
                moved = metrics.relaxed(molecule).GetConformer().GetPositions()[: int(there.sum())]
                relaxed[i, : len(moved)] = moved - moved.mean(0)
        return {"unguided": plain, "unguided + MMFF": plain | {"positions": relaxed}}

    def metrics(self, samples, problem):
        """Besides: the median strain of what is valid, and the clash potential a molecule."""
        molecules = self.domain.to_native(samples)
        strain = metrics.strain([m for m in molecules if metrics.sanitised(m) is not None][:100])
        clash = potentials.clash(self.domain.layout, jax.tree.map(jnp.asarray, samples))
        return super().metrics(samples, problem) | {
            "strain [kcal/mol]": float(np.nanmedian(strain)) if np.isfinite(strain).any() else float("nan"),
            "clash [nats]": float(np.mean(clash)),
        }


class Count(MoleculeTask):
    """Exactly so many atoms or rings of a kind, by particles: smc weighs -(count - wanted)^2 / (2 * 0.5^2) at the end of the path."""

    def __init__(self, domain):
        super().__init__(domain)
        what = self.options.count.what
        if what != "rings" and what not in domain.layout.symbols:
            raise UserError(
                f"config.data.tasks.count.what = {what!r}: expected 'rings' or one of {list(domain.layout.symbols)}"
            )
        self.what, self.wanted = what, self.options.count.number

        def potential(z, t):
            return -0.5 * jnp.square((self.counted(domain.normalizer.denormalize(z)) - self.wanted) / 0.5)

        self.potential = potential

    def counted(self, x):
        """(B,) how many there are."""
        if self.what == "rings":
            return get_reward(self.domain, "rings").function(x)
        layout = self.domain.layout
        kinds = jnp.argmax(x["features"][..., : len(layout.kinds)], -1)
        return jnp.sum((kinds == layout.symbols.index(self.what)) * layout.mask_of(x), -1)

    def problem(self, key, example):
        return Problem(self.potential, example, cond=self.condition(example))

    def run(self, model, key, problem, num_particles: int, steps: int) -> particles.Result:
        """`particles.smc`: exp(log_evidence) is the expected exp(potential), `resampled` draws from the wanted law."""
        denoiser = model.denoiser_for(problem.cond)
        return particles.smc(
            key, denoiser, problem.observation, self.domain.example, num_particles=num_particles, steps=steps, twist="plain",
            chunk=max(size for size in range(1, 65) if num_particles % size == 0),
        )  # fmt: skip

    def solve(self, model, key, problem, members, progress=False, **options):
        steps = options.get("steps") or self.sampling["steps"]
        drawn = []
        # A population gives one answer here, so that answers are independent of each other.
        for i in range(members):
            result = self.run(model, jax.random.fold_in(key, i), problem, self.options.count.particles, steps)
            drawn.append(
                jax.tree.map(
                    np.asarray, self.domain.normalizer.denormalize(result.draw(jax.random.fold_in(key, members + i)))
                )
            )
        return jax.tree.map(lambda *leaves: np.stack(leaves), *drawn)

    def controls(self, model, key, problem, members, **options):
        return {"unguided": self.plain(model, key, problem, members, **options)}

    def metrics(self, samples, problem):
        counts = np.asarray(self.counted(jax.tree.map(jnp.asarray, samples)))
        whole = [
            metrics.canonical(m) is not None and len(Chem.GetMolFrags(m)) == 1 for m in self.domain.to_native(samples)
        ]
        exact = counts == self.wanted
        shares = {
            f"{self.wanted} {self.what}": float(np.mean(exact)),
            "and valid and connected": float(np.mean(exact & whole)),
        }
        return shares | super().metrics(samples, problem)


TASKS = {
    "generate": Generate, "conformers": Conformers, "scaffold": Scaffold, "linker": Linker, "property": Property, "repair": Repair,
    "count": Count,
}  # fmt: skip


def seed_of(key) -> int:
    """A seed for numpy and RDKit from a jax key."""
    return int(jax.random.randint(key, (), 0, 2**31 - 1))
