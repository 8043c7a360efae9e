"""Molecules as they are wished for: a value of a property, valences that add up, a number of rings."""

import hashlib

import jax
import jax.numpy as jnp
import numpy as np
from rdkit import Chem

from domains.molecules import metrics, potentials, regressor
from domains.molecules.descriptors import DESCRIPTORS, descriptor
from domains.molecules.tasks import MoleculeTask
from sciddm import guidance, lookahead
from sciddm.errors import UserError
from sciddm.named import near
from sciddm.rewards.reward import get_reward
from sciddm.tasks import Population, Problem, need


class Property(MoleculeTask):
    """Molecules with a wanted value of config.data.property.

    method: "classifier-free": the network is conditioned on the value, and what that changes is amplified; "regressor": a regressor of
    noisy molecules draws a network that is not conditioned on it. scale: how strongly, 1 is plain conditional; target: standard deviations
    from the mean of the data; others: of `MoleculeTask`. A hit is valid, connected and within a quarter of a standard deviation, by RDKit
    for logP and QED.
    """

    METHODS = ("classifier-free", "regressor")

    def __init__(self, domain, *, method: str = "classifier-free", scale: float = 1.0, target: float = 1.5, **sampling):
        super().__init__(domain, **sampling)
        self.method, self.scale, self.target = method, scale, target

    @classmethod
    def fits(cls, config):
        return "property" in config.data.conditions and config.data.property in DESCRIPTORS

    @classmethod
    def check(cls, config, options):
        method = options["method"]
        need(options, "method", method in cls.METHODS, f"one of {list(cls.METHODS)}{near(method, cls.METHODS)}")

    def problem(self, key, example):
        mean, std = self.domain.normalizer.scalar
        extras = {"target": mean + std * self.target, "width": 0.25 * std}
        return Problem(truth=example, cond=self.condition(example, scalar=self.target), extras=extras)

    def guide(self, denoiser, problem):
        mask = problem.cond["mask"]
        if self.method == "classifier-free":
            return guidance.classifier_free(denoiser, self.scale, unconditional=self.domain.condition(mask))
        found = problem.extras["regressor"]
        blank = jax.tree.map(lambda leaf: jnp.zeros((1, *leaf.shape)), self.domain.example)
        mean, std = regressor.Mean(found, mask), regressor.Spread(found, mask, blank)
        return guidance.regressor(denoiser, mean, self.target, std, self.scale)

    def depends(self, model):
        path = model.workdir / regressor.FILE
        if self.method != "regressor" or not path.exists():
            return ""
        return hashlib.sha256(path.read_bytes()).hexdigest()

    def solve(self, model, key, problem, members, **options):
        if self.method == "regressor":
            extras = {**problem.extras, "regressor": regressor.load(model)}
            problem = Problem(None, problem.truth, self.domain.condition(problem.cond["mask"]), extras)
        return super().solve(model, key, problem, members, **options)

    def controls(self, model, key, problem, members, **options):
        """unguided: the model without the value, at equal network calls, of which classifier-free guidance has two a step."""
        without = self.domain.condition(problem.cond["mask"])
        steps = options.pop("steps", None) or self.sampling.get("steps", model.config.sampling.steps)
        calls = 2 if self.method == "classifier-free" else 1
        return {
            "unguided": model.draw(key, members, cond=without, **self.sampling | options | {"steps": calls * steps})
        }

    def metrics(self, samples, problem):
        molecules = [m if m and len(Chem.GetMolFrags(m)) == 1 else None for m in self.domain.to_native(samples)]
        values = np.asarray([descriptor(self.domain.data.property, molecule) for molecule in molecules])
        hit = np.abs(values - problem.extras["target"]) <= problem.extras["width"]
        there = values[np.isfinite(values)]
        about = {
            "hits": float(hit.mean()),
            f"mean {self.domain.data.property}": float(there.mean()) if len(there) else float("nan"),
        }
        return about | super().metrics(samples, problem)


class Repair(MoleculeTask):
    """Molecules whose valences add up and whose atoms keep apart: potentials of the expected molecule, by lookahead.

    Beside it the same network without them, at equal calls, and relaxed by MMFF at the end. valence, clash: weights of the two potentials;
    others: of `MoleculeTask`.
    """

    scored = (*MoleculeTask.scored, "valid by RDKit")

    def __init__(self, domain, *, valence: float = 1.0, clash: float = 0.2, **sampling):
        super().__init__(domain, **sampling)
        self.weights = {"valence": valence, "clash": clash}

    @classmethod
    def check(cls, config, options):
        for name in ("valence", "clash"):
            need(options, name, options[name] >= 0, "a weight, 0 or more")

    def problem(self, key, example):
        return Problem(truth=example, cond=self.condition(example))

    def guide(self, denoiser, problem):
        weights = {name: jnp.asarray(value, jnp.float32) for name, value in self.weights.items()}
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


class Count(MoleculeTask, Population):
    """Exactly so many atoms or rings of a kind, by particles: smc weighs -(count - number)^2 / (2 * 0.5^2) at the end of the path.

    what: "rings", or the symbol of an element; number: how many are wanted; num_particles: for every member; others: of `Population`.
    """

    def __init__(
        self, domain, *, what: str = "rings", number: int = 3, num_particles: int = 32, twist: str = "plain", steps: int = 50, **population
    ):  # fmt: skip
        Population.__init__(self, domain, num_particles=num_particles, twist=twist, steps=steps, **population)
        if what != "rings" and what not in domain.layout.symbols:
            raise UserError(
                f"config.tasks.count.what = {what!r}: expected 'rings' or one of {list(domain.layout.symbols)}"
            )
        self.what, self.wanted = what, number

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

    def solve(self, model, key, problem, members, progress=False, **options):
        drawn = []
        # A population gives one answer here, so that answers are independent of each other.
        for i in range(members):
            result = self.run(model, jax.random.fold_in(key, i), problem, **options)
            drawn.append(self.physical(result.draw(jax.random.fold_in(key, members + i))))
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


def migrated_tasks(own) -> dict:
    """config.tasks of what stood in config.data.tasks in version 1."""
    sampling = {name: own[name] or None for name in ("solver", "steps", "grid")}
    tasks = {name: dict(sampling) for name in ("conformers", "scaffold", "linker", "property", "repair")}
    tasks["conformers"]["count"], tasks["scaffold"]["kept"] = own["conformers"], own["kept"]
    tasks["property"] |= {"method": own["method"], "scale": own["guidance"], "target": own["target"]}
    tasks["repair"] |= own["repair"]
    count = own["count"]
    tasks["count"] = {
        "what": count["what"],
        "number": count["number"],
        "num_particles": count["particles"],
        "steps": own["steps"] or 50,
    }
    return tasks
