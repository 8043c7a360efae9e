"""What every public method gives from a fixed seed, to hold one commit against another.

    PYTHONPATH=. python scripts/fixed_seed.py --out old.npz                      in a checkout of the old commit
    PYTHONPATH=. python scripts/fixed_seed.py --out new.npz --against old.npz    in the new one: a table, exit code 1 where 1e-5 apart
    ... --runs FOLDER                                               besides, a tiny run of each domain: trained where the folder holds none,
                                                                    else loaded, sampled from, trained on and its parameters' paths kept

Only public names are called, so that the file serves both sides.
"""

import argparse
import importlib
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import sciddm as sd
from sciddm import lookahead, particles

TOLERANCE = 1e-5
A, Y = jnp.array([[1.0, 0.5, 0.0], [0.0, -1.0, 2.0]]), jnp.array([0.7, -0.4])
MIXTURE = sd.oracle.GaussianMixture([0.3, 0.7], [[-1.0, 0.0, 1.0], [2.0, 1.0, -1.0]], 0.2)
OBSERVED = lookahead.Observation(A, Y, 0.5)
KEY = jax.random.key(0)
PROCESSES = ("vp", "sub_vp", "cosine", "ve", "edm", "rectified")


def reward(x_0, t):
    return 0.5 * x_0[:, 0] - 0.1 * x_0[:, 1] ** 2


def dense(x_t, t, cond):
    """A smooth function of all entries, for samples that are pytrees or fields."""
    return jax.tree.map(lambda leaf: 0.7 * jnp.tanh(leaf) + 0.1, x_t)


def denoiser(process="vp"):
    return MIXTURE.denoiser(getattr(sd.GaussianProcess, process)())


def solvers():
    for solver in sd.solvers.SOLVERS:
        yield f"sample, {solver}", lambda s=solver: sd.sample(KEY, denoiser(), (5, 3), solver=s, steps=7)[0]
    for process in PROCESSES:
        for grid in sd.grids.GRIDS:
            yield f"sample, {process}, {grid}", lambda p=process, g=grid: sd.sample(KEY, denoiser(p), (5, 3), steps=6, grid=g)[0]


def laws():
    mask = jnp.array([[1.0, 1.0, 1.0, 0.0], [1.0, 1.0, 0.0, 0.0]])
    cases = {
        "spectral": (sd.SpectralField.power_law((8, 8), 2.0, 3.0), (2, 8, 8, 1)),
        "centred": (sd.ZeroCentreOfMass(), (2, 4, 3)),
        "centred, a mask each": (sd.ZeroCentreOfMass(mask), (2, 4, 3)),
        "masked, a mask each": (sd.Masked(mask[..., None]), (2, 4, 3)),
        "symmetric": (sd.Symmetric(), (2, 4, 4, 2)),
    }
    for name, (law, shape) in cases.items():
        other = sd.FunctionDenoiser(dense, sd.GaussianProcess.vp(noise=law))
        yield f"law, {name}", lambda d=other, s=shape: sd.sample(KEY, d, s, solver="ddpm", steps=5)[0]
    tree = {"a": (3, 2), "b": (3, 4)}
    both = sd.FunctionDenoiser(dense, sd.GaussianProcess.cosine())
    yield "law, pytree", lambda: sd.sample(KEY, both, tree, solver="unipc2", steps=5)[0]


def guides():
    options = {"dps": {"scale": 0.1}, "freedom": {"scale": 0.3}, "tfg": {"rho": 0.3, "mu": 0.1}, "flowchef": {"scale": 0.3},
               "daps": {"ode_steps": 2}, "sitcom": {"inner_steps": 3}, "repaint": {"jump": 2, "repeats": 2}}  # fmt: skip
    for name in ("steer dps lgd pigdm mmps freedom universal mpgd tfg ddnm repaint diffpir daps sitcom flowdps flowchef").split():
        make = lambda n=name: getattr(lookahead, n)(denoiser(), OBSERVED, **options.get(n, {}))  # noqa: E731
        yield f"guide, {name}", lambda m=make: sd.sample(KEY, m(), (4, 3), steps=6, grid="logsnr")[0]
        yield f"guide, {name}, ddpm", lambda m=make: sd.sample(KEY, m(), (4, 3), solver="ddpm", steps=6, grid="t")[0]
    for name, steps in (("ddrm", 6), ("reddiff", 6), ("dflow", None)):
        more = {"ode_steps": 3, "iterations": 2} if name == "dflow" else {}
        make = lambda n=name, m=more: getattr(lookahead, n)(denoiser(), OBSERVED, **m)  # noqa: E731
        yield f"guide, {name}", lambda m=make, s=steps: sd.sample(KEY, m(), (4, 3), steps=s)[0]
    yield "guide, steer, depth 2", lambda: sd.sample(KEY, lookahead.steer(denoiser(), OBSERVED, depth=2), (4, 3), steps=6)[0]
    yield "guide, steer, x0", lambda: sd.sample(KEY, lookahead.steer(denoiser(), reward, through="x0"), (4, 3), steps=6)[0]
    yield "guide, dps around classifier-free", lambda: sd.sample(
        KEY, lookahead.dps(sd.guidance.classifier_free(denoiser(), 1.5), OBSERVED, scale=0.1), (4, 3), steps=6, grid="t")[0]  # fmt: skip
    law = lookahead.constraints.Linear(A, Y)
    yield "constrain", lambda: sd.sample(KEY, lookahead.constrain(denoiser(), law), (4, 3), steps=6)[0]
    yield "Langevin", lambda: sd.sample(KEY, denoiser(), (4, 3), steps=6, corrections=(lookahead.Langevin(),))[0]
    yield "time travel", lambda: sd.sample(KEY, denoiser(), (4, 3), solver="ddpm", steps=6, grid=sd.TimeTravel("t", jump=2, repeats=2))[0]
    yield "classifier-free", lambda: sd.sample(KEY, sd.guidance.classifier_free(denoiser(), 2.0, rescale=0.5), (4, 3), steps=6)[0]
    yield "classifier", lambda: sd.sample(KEY, sd.guidance.classifier(denoiser(), reward, 1.5), (4, 3), steps=6)[0]
    yield "regressor", lambda: sd.sample(KEY, sd.guidance.regressor(denoiser(), lambda x, t: x[:, 0], 0.5, 0.7), (4, 3), steps=6)[0]
    yield "negative", lambda: sd.sample(KEY, sd.guidance.negative(denoiser(), {"a": None}, 1.5), (4, 3), steps=6)[0]
    part = sd.FunctionDenoiser(dense, sd.GaussianProcess.vp())
    for strategy in ("x0", "xt", "loss", "bethe", "centre"):
        views = lookahead.windows(10, window=4, stride=3)
        yield f"synchronize, {strategy}", lambda s=strategy, v=views: sd.sample(
            KEY, lookahead.synchronize(part, v, strategy=s), (2, 10, 1), steps=5)[0]  # fmt: skip
    yield "match_snr", lambda: sd.sample(KEY, sd.match_snr(denoiser("rectified"), sd.GaussianProcess.vp()), (4, 3), steps=6)[0]


def populations():
    def particles_of(name, process="vp", **options):
        made = getattr(particles, name)(KEY, denoiser(process), options.pop("potential", OBSERVED), (3,), **options)
        return {"particles": made.particles, "log_weights": made.log_weights, "log_evidence": made.log_evidence,
                **({"ancestors": made.info["ancestors"]} if "ancestors" in made.info else {})}  # fmt: skip

    for twist in ("mmps", "pigdm", "plain", "tempered", "none"):
        yield f"smc, {twist}", lambda t=twist: particles_of("smc", num_particles=16, steps=8, twist=t)
    for resample in particles.RESAMPLERS:
        yield f"smc, {resample}", lambda r=resample: particles_of("smc", num_particles=16, steps=8, resample=r)
    for process in PROCESSES:
        yield f"smc, {process}", lambda p=process: particles_of("smc", p, num_particles=16, steps=8)
    yield "smc, flow-sde", lambda: particles_of("smc", num_particles=16, steps=8, solver="flow-sde")
    yield "smc, reward", lambda: particles_of("smc", potential=reward, num_particles=16, steps=8)
    yield "smc, extreme", lambda: particles_of("smc", potential=particles.Exceeds(lambda x: x[:, 0], 1.0), num_particles=16, steps=8)
    yield "smc, chunks", lambda: particles_of("smc", num_particles=16, steps=8, chunk=4)
    yield "smc, proposal dps", lambda: particles_of(
        "smc", num_particles=16, steps=8, proposal=lookahead.dps(denoiser(), OBSERVED, scale=0.1))  # fmt: skip
    for name in ("svdd", "tds", "das", "fk_steering", "best_of_n", "psi", "mcgdiff"):
        options = {"chains": 2, "burn_in": 3, "moves": 4} if name == "psi" else {}
        yield name, lambda n=name, o=options: particles_of(n, num_particles=8, steps=6, **o)
    yield "rollover_budget", lambda: particles_of("rollover_budget", potential=reward, budget=60, steps=5)
    yield "search_over_paths", lambda: particles_of("search_over_paths", potential=reward, copies=2, steps=10)
    yield "reward_langevin", lambda: particles_of("reward_langevin", potential=reward, num_particles=4, moves=4, burn_in=2)

    def corrected(corrector, **options):
        made = particles.feynman_kac(KEY, corrector, (3,), num_particles=16, steps=8, **options)
        return made.particles, made.log_weights

    yield "feynman_kac, anneal", lambda: corrected(particles.anneal(denoiser(), 2.0))
    yield "feynman_kac, product", lambda: corrected(particles.product(denoiser(), denoiser(), weights=[0.6, 0.7]))
    yield "feynman_kac, guided", lambda: corrected(particles.guided(denoiser(), 1.5), solver="ddpm")
    yield "feynman_kac, tilt", lambda: corrected(particles.tilt(denoiser(), reward), solver="ddpm")


def others():
    x = MIXTURE.sample(jax.random.key(5), 4)
    for trace in ("exact", "hutchinson", "hutch++"):
        yield f"log_prob, {trace}", lambda t=trace: sd.log_prob(KEY, denoiser(), x, trace=t)
    yield "encode", lambda: sd.encode(denoiser("cosine"), x)
    yield "decode", lambda: sd.decode(denoiser("cosine"), x)
    yield "rollout", lambda: sd.rollout(KEY, denoiser(), (4, 3), cond=x, advance=lambda z: z, windows=2, steps=4)[0]
    yield "perturb", lambda: sd.GaussianProcess.edm().perturb(KEY, x, 0.4)
    yield "objective", lambda: sd.Objective()(sd.NetworkDenoiser(lambda x, level, cond: jnp.tanh(x), sd.GaussianProcess.edm()), KEY, x)
    for noise in (0.0, 0.5):
        path = sd.Interpolant.linear(noise=noise)
        inner = sd.FunctionDenoiser(dense, path.process())
        yield f"interpolant, noise {noise}", lambda p=path, i=inner: sd.sample(KEY, p.wrap(i, x), x.shape, steps=5)[0]
    yield "simulate", lambda: OBSERVED.simulate(KEY, x)
    yield "for_each", lambda: particles.for_each(
        KEY, lambda k: particles.smc(k, denoiser(), OBSERVED, (3,), num_particles=4, steps=4).log_weights, count=3)  # fmt: skip


SMALL = {
    "pde": {"data": {"resolution": 16, "count": 96, "held_out": 8}, "network": {"channels": (16, 16), "attention_levels": ()}},
    "weather": {
        "data": {"size": 32, "events": 10, "frames": 18, "held_out": 2},
        "network": {"channels": (8, 8), "attention_levels": (), "features": 16},
    },
    "molecules": {"data": {"source": "qm9", "count": 60}, "network": {"hidden": 16, "layers": 1}},
}

TASKS = {"weather": {"wide": {"size": 48}, "rollout": {"windows": 2}}}


def runs(folder: Path):
    """Tiny runs of the domains: samples and densities of the stored checkpoint, then two steps more."""
    from sciddm.train import fit

    for name, changes in SMALL.items():
        config = importlib.import_module(f"configs.{name}").get_config("smoke")
        for branch, values in changes.items():
            config[branch].update(values)
        for task, options in TASKS.get(name, {}).items() if "tasks" in config else ():
            config.tasks[task].update(options)
        if "tasks" not in config:  # where options of tasks stood in version 1
            config.data.update({"weather": {"wide": 48, "windows": 2}}.get(name, {}))
        config.data.cache = str(folder / "cache" / name)
        config.training.update({"steps": 4, "wall_minutes": None, "batch_size": 8, "warmup": 1})
        config.sampling.update({"steps": 3, "batch_size": 4})
        config.checkpoint.update({"every": 2, "keep": 9})
        workdir = folder / name
        if not workdir.exists():
            fit(config, workdir, progress=False)
        model = sd.load(workdir, step=2)
        yield f"{name}, parameters", lambda m=model: by_path(m.denoiser.network.params)
        yield f"{name}, samples", lambda m=model: m.draw(0, 5)
        yield f"{name}, log_prob", lambda m=model: m.log_prob(m.draw(0, 2), trace="hutchinson", probes=1)
        for task in sorted(model.domain.tasks):

            problem = model.problem(task)
            yield f"{name}, {task}", lambda m=model, task=task, problem=problem: m.solve(1, task, problem, 2, steps=3)
            answers = model.domain.tasks[task].baseline(problem)
            for method in answers if task != "generate" else ():  # whose second row is new
                yield f"{name}, {task}, {method}", lambda answers=answers, method=method: answers[method]

        def goes_on(name=name, config=config, workdir=workdir):
            import shutil
            import tempfile

            with tempfile.TemporaryDirectory() as place:
                copy = Path(place) / "run"
                shutil.copytree(workdir, copy)
                shutil.rmtree(copy / "checkpoints" / "4")
                state = fit(config, copy, progress=False)
            return by_path((state.params, state.ema, state.opt_state))

        yield f"{name}, trained on", goes_on


def by_path(tree) -> dict:
    """Leaves by the names of their places."""
    return {jax.tree_util.keystr(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}


def flat(value) -> np.ndarray:
    """All numbers of a pytree in a row."""
    return np.concatenate([np.asarray(leaf, np.float64).ravel() for leaf in jax.tree.leaves(value)])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--against", type=Path)
    parser.add_argument("--runs", type=Path)
    parser.add_argument("--only", default="", help="cases whose names hold this")
    arguments = parser.parse_args()
    parts = [solvers(), laws(), guides(), populations(), others(), *([runs(arguments.runs)] if arguments.runs else [])]
    old = dict(np.load(arguments.against)) if arguments.against else {}
    found, start, apart = {}, time.monotonic(), []
    for part in parts:
        for name, make in part:
            if arguments.only not in name:
                continue
            try:
                value = make()
            except Exception as error:
                print(f"{name}: {type(error).__name__}: {str(error)[:200]}", flush=True)
                apart.append(name)
                continue
            found[name] = flat(value)
            found[f"{name} (leaves)"] = np.frombuffer(" ".join(by_path(value)).encode(), np.uint8).astype(float)
            if name in old:
                same = found[name].shape == old[name].shape and np.array_equal(found[f"{name} (leaves)"], old[f"{name} (leaves)"])
                if not same:
                    print(f"| {name} | other leaves or shapes |", flush=True)
                    apart.append(name)
                    continue
                a, b = found[name], old[name]
                both = np.isfinite(a) & np.isfinite(b)
                gap = np.max(np.abs(a - b)[both] / np.maximum(1.0, np.abs(b[both])), initial=0.0)
                if not np.array_equal(np.isnan(a), np.isnan(b)) or not np.array_equal(a[~both], b[~both], equal_nan=True):
                    gap = np.inf
                print(f"| {name} | {gap:.1e} |", flush=True)
                if gap > TOLERANCE:
                    apart.append(name)
    np.savez(arguments.out, **found)
    print(f"{len(found) // 2} cases in {time.monotonic() - start:.0f} s; more than {TOLERANCE} apart, or failed: {apart or 'none'}")
    return 1 if arguments.against and apart else 0


if __name__ == "__main__":
    sys.exit(main())
