"""What does looking ahead cost? Memory of one steered evaluation over its depth, and time of a guided step over a plain one.

Usage: python scripts/benchmarks/lookahead_cost.py [--repeats 15] [--depth 1 2 4 8] [--guide NAME ...]
       prints and saves results/lookahead_cost.md; with --guide it prints only
"""

import argparse
import pathlib

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from machine import describe, seconds
from sampling_common import Table
from sampling_speed import make_network

import sciddm as sd
from sciddm.arithmetic import combine
from sciddm.lookahead.gradients import gain, value_and_gradient
from sciddm.solvers.base import DenoiserTerm
from sciddm.solvers.ddim import ddim_step

RESULTS = pathlib.Path(__file__).parent / "results" / "lookahead_cost.md"
KEY, TIME, STEPS = jax.random.key(0), 0.5, 4

# Label -> the guide, and the most that its step may cost over a plain one (None: no bound).
GUIDES = {
    "steer": (sd.lookahead.steer, 3.0),
    "pigdm": (sd.lookahead.pigdm, 3.0),
    "dps": (sd.lookahead.dps, 3.0),
    "lgd": (sd.lookahead.lgd, 3.0),
    "freedom": (sd.lookahead.freedom, 3.0),
    "universal": (sd.lookahead.universal, 3.0),
    "tfg": (sd.lookahead.tfg, 3.0),
    "mpgd": (sd.lookahead.mpgd, 3.0),
    "ddnm": (sd.lookahead.ddnm, 3.0),
    "diffpir": (sd.lookahead.diffpir, 3.0),
    "flowdps": (sd.lookahead.flowdps, 3.0),
    "flowchef": (sd.lookahead.flowchef, 3.0),
    "mmps, 1 iteration": (lambda denoiser, obs: sd.lookahead.mmps(denoiser, obs, iterations=1), None),
    "mmps, 8 iterations": (lambda denoiser, obs: sd.lookahead.mmps(denoiser, obs, iterations=8), None),
    "steer through x0": (lambda denoiser, obs: sd.lookahead.steer(denoiser, obs, through="x0"), None),
    "steer, depth 4": (lambda denoiser, obs: sd.lookahead.steer(denoiser, obs, depth=4), None),
    "steer, depth 4, truncate 1": (lambda denoiser, obs: sd.lookahead.steer(denoiser, obs, depth=4, truncate=1), None),
}


def naive(denoiser, potential, depth):
    """`steer` at this depth with plain reverse mode: every step's activations are kept."""
    process = denoiser.process
    times = np.asarray(process.time(np.linspace(float(process.log_snr(TIME)), 10.0, depth + 2)[1:-1])) if depth else []
    term = DenoiserTerm(denoiser, None, None)

    def look(x):
        def step(carry, s):
            x, x0_hat, now = carry
            x_s = ddim_step(x0_hat, x, term.level(now), term.level(s))
            return (x_s, denoiser(x_s, s), s), None

        x0_hat = denoiser(x, TIME)
        start = (x, x0_hat, jnp.asarray(TIME))
        return jax.lax.scan(step, start, jnp.asarray(times, jnp.float32))[0][1], x0_hat

    def steered(x_t, t):
        end, vjp, x0_hat = jax.vjp(look, x_t, has_aux=True)
        return combine(1.0, x0_hat, gain(process, t), vjp(value_and_gradient(potential, end, t)[1])[0])

    return steered


def temporaries(function, x):
    """MiB that one compiled evaluation needs beyond its arguments and result."""
    program = eqx.filter_jit(lambda x: function(x, TIME)).lower(x).compile()
    return program.compiled.memory_analysis().temp_size_in_bytes / 2**20


def memory(table, denoiser, observation, shape, depths):
    x = jnp.zeros(shape)
    plain = temporaries(denoiser, x)
    table.head("depth", "rematerialised", "truncate = 1", "all activations kept")
    for depth in depths:
        guides = (
            sd.lookahead.steer(denoiser, observation, depth=depth),
            sd.lookahead.steer(denoiser, observation, depth=depth, truncate=1),
            naive(denoiser, observation, depth),
        )
        table.row(depth, *(f"{temporaries(guide, x) / plain:.1f}" for guide in guides))
    table.line(f"\nTemporary memory of one steered evaluation over that of a plain one, {plain:.1f} MiB.")


def duration(table, denoiser, observation, shape, names, repeats):
    def run(denoiser):
        return lambda: sd.sample(KEY, denoiser, shape, solver="ddim", steps=STEPS, grid="logsnr")[0]

    runs = [run(denoiser), *(run(GUIDES[name][0](denoiser, observation)) for name in names)]
    times = seconds(*runs, repeats=repeats)
    table.head("guide", "step over a plain step", "quartiles", "bound", "ms a step")
    for i, name in enumerate(names, 1):
        low, middle, high = np.percentile(times[:, i] / times[:, 0], [25, 50, 75])
        row = (
            f"{middle:.2f}",
            f"{low:.2f} to {high:.2f}",
            GUIDES[name][1] or "",
            f"{1e3 * np.median(times[:, i]) / STEPS:.1f}",
        )
        table.row(name, *row)
    table.line(
        f"\nOf {STEPS} DDIM steps, medians of {repeats} ratios in turns; a plain step {1e3 * np.median(times[:, 0]) / STEPS:.1f} ms."
    )
    table.line("Conjugate gradients end early where they have converged or meet a direction of negative curvature.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--depth", type=int, nargs="*", default=[0, 1, 2, 4, 8])
    parser.add_argument("--guide", nargs="+", choices=list(GUIDES), default=None)
    arguments = parser.parse_args()
    network, shape, _, _ = make_network("unet")
    # at its initialisation a network's output is 0, its Jacobian a multiple of 1, and conjugate gradients end after one step
    leaves, structure = jax.tree.flatten(network)
    keys = jax.random.split(KEY, len(leaves))
    shaken = [leaf + 0.02 * jax.random.normal(key, leaf.shape) for leaf, key in zip(leaves, keys, strict=True)]
    denoiser = sd.NetworkDenoiser(structure.unflatten(shaken), sd.GaussianProcess.vp(), "edm", 1.0)
    observation = sd.lookahead.Observation(sd.lookahead.operators.Downsample(4), 0.0, 0.1)
    table = Table()
    table.line("# What looking ahead costs\n")
    table.line(f"U-Net, {'x'.join(map(str, shape))}, float32. {describe()}")
    if arguments.depth:
        memory(table, denoiser, observation, shape, arguments.depth)
    duration(table, denoiser, observation, shape, arguments.guide or list(GUIDES), arguments.repeats)
    if not arguments.guide:
        RESULTS.write_text(table.text())


if __name__ == "__main__":
    main()
