"""Molecules as they are wished for: a value of a property, and valences that add up."""

import hashlib

import jax
import jax.numpy as jnp
import numpy as np
from rdkit import Chem

from domains.molecules import mending, metrics, potentials, regressor
from domains.molecules.answers import whole_molecule
from domains.molecules.brought import TAKES, given_alone
from domains.molecules.candidates import best_of
from domains.molecules.descriptors import DESCRIPTORS, descriptor
from domains.molecules.given import decimal, titled
from domains.molecules.record import check_scale
from domains.molecules.tasks import MoleculeTask
from sciddm import guidance, lookahead
from sciddm.errors import UserError
from sciddm.named import near
from sciddm.tasks import Problem, need


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
        for name in ("scale", "target"):
            need(options, name, np.isfinite(options[name]), "a number")
        need(options, "method", method in cls.METHODS, f"one of {list(cls.METHODS)}{near(method, cls.METHODS)}")

    @property
    def given_names(self):
        return (self.domain.data.property, "atoms", "record")

    @property
    def takes(self):
        name, (mean, std) = self.domain.data.property, self.domain.normalizer.scalar
        return (
            f"{name}=2.5, the wanted value (trained on {mean:.3g} +- {std:.2g}), and if you like atoms=12, the number of {self.atoms} of "
            f"each answer (trained on {self.sizes}), or a molecule of which it is taken ({TAKES})"
        )

    def problem_given(self, key, given):
        brought, values = self.one(given)
        name, value = self.domain.data.property, self.value(values)
        if value is None:
            raise UserError(f"--given: no {name}=VALUE; expected {self.takes}")
        _, std = self.domain.normalizer.scalar
        extras = {"target": value[0], "width": 0.25 * std, "normalised": value[1], "title": f"{name} = {value[0]:g} is wanted"}
        return self.sized(brought, values, value[1], **extras)

    def write_given(self, problem, folder):
        target = float(problem.extras["target"])
        return [f"{self.domain.data.property}={target!r}", f"atoms={int(problem.cond['mask'].sum())}"]

    def problem(self, key, example):
        mean, std = self.domain.normalizer.scalar
        extras = {"target": mean + std * self.target, "width": 0.25 * std, "normalised": self.target}
        return Problem(truth=example, cond=self.condition(example, scalar=self.target), extras=extras)

    def guide(self, denoiser, problem):
        mask = problem.cond["mask"]
        if self.method == "classifier-free":
            return guidance.classifier_free(denoiser, self.scale, unconditional=self.domain.condition(mask))
        found = problem.extras["regressor"]
        blank = jax.tree.map(lambda leaf: jnp.zeros((1, *leaf.shape)), self.domain.example)
        mean, std = regressor.Mean(found, mask), regressor.Spread(found, mask, blank)
        return guidance.regressor(denoiser, mean, problem.extras["normalised"], std, self.scale)

    def depends(self, model):
        path = model.workdir / regressor.FILE
        if self.method != "regressor" or not path.exists():
            return ""
        return hashlib.sha256(path.read_bytes()).hexdigest()

    def solve(self, model, key, problem, members, **options):
        if self.method == "regressor":
            extras = {**problem.extras, "regressor": regressor.load(model), "scalar": None}
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
    noise: of the level that a molecule which a user brings is noised to and repaired from, sigma / alpha, where kinds and orders are 1.25
    and positions have unit spread: the more, the more of it may change; others: of `MoleculeTask`.
    """

    scored = (*MoleculeTask.scored, "valid by RDKit")
    given_names = ("noise", "record")

    def __init__(self, domain, *, valence: float = 1.0, clash: float = 0.2, noise: float = mending.NOISE, **sampling):
        super().__init__(domain, **sampling)
        self.weights, self.noise = {"valence": valence, "clash": clash}, noise

    @property
    def takes(self):
        spread = float(self.domain.normalizer.std["positions"])
        return (
            f"one molecule with positions, whose bonds, valences or positions may be wrong ({TAKES}), of "
            f"{', '.join(self.domain.layout.symbols)}; noise={self.noise:g}: how strong the noise is that it is repaired from, 1 is "
            f"{spread:.2g} A: the more, the more may change"
        )

    def problem_given(self, key, given):
        brought, values = self.one(given, lenient=True)
        if brought is None:
            raise UserError(f"--given: no molecule; expected {self.takes}")
        noise = decimal(values, "noise")
        if noise is not None and not noise > 0:
            raise UserError(f"--given noise={values['noise']}: expected a number above 0, such as noise={self.noise:g}")
        if not brought.solid:
            raise UserError(f"{brought.where}: has no positions; expected a molecule in three dimensions; --task conformers makes shapes")
        try:
            check_scale(given_alone(brought))
        except ValueError as error:
            raise UserError(f"{brought.where}: {error}") from error
        rows = self.rows(brought)
        slots = self.slots(len(rows))
        x = self.x_of(brought, rows, slots)
        extras = {
            "brought": brought, "shape": self.shape(slots), "x": x, "noise": noise or self.noise, "title": f"{brought.name}, repaired",
        }  # fmt: skip
        return Problem(cond=self.condition(x), extras=extras)

    def write_given(self, problem, folder):
        return [str(self.write_molecule(problem.truth, folder / "molecule.sdf"))]

    def answers(self, model, keys, problem, **options):
        """From the molecule, noised to the level that `noise` says, and down to data again; where one is no valid molecule in one piece,
        others are drawn in its place, `candidates.ROUNDS` in all at most."""
        z = self.domain.normalizer.normalize(jax.tree.map(lambda leaf: leaf[None], problem.extras["x"]))
        draw, options = super().answers, options | {"sampler": mending.FromGiven(z, problem.extras["noise"])}

        def judge(x):
            return x, np.array([float(whole_molecule(m)) for m in self.domain.to_native(x)])

        return best_of(lambda some: draw(model, some, problem, **options), keys, judge)

    def to_native(self, samples, problem):
        molecules = super().to_native(samples, problem)
        if "brought" in (problem.extras or {}):
            mending.note(self.domain.layout, problem.extras["x"], samples, molecules, problem.extras["brought"].name)
        return molecules

    def plot(self, samples, problem, answers):
        from domains.molecules import plots

        if "brought" not in (problem.extras or {}):
            return super().plot(samples, problem, answers)
        given = jax.tree.map(lambda leaf: leaf[None], problem.extras["x"])
        molecules = [*self.domain.to_native(given), *self.domain.to_native(samples)[:7]]
        titles = ["given", *(f"answer {i}" for i in range(1, len(molecules)))]
        return titled(plots.gallery(molecules, titles), problem)

    @classmethod
    def check(cls, config, options):
        for name in ("valence", "clash"):
            need(options, name, 0 <= options[name] < np.inf, "a weight, 0 or more")
        need(options, "noise", 0 < options["noise"] < np.inf, "a number above 0")

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
