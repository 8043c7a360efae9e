"""Seconds of a training step beside PyTorch: the same networks, loss, clipping, Adam and average, on the cores of one machine.

Usage: python scripts/benchmarks/training.py [--networks unet dit egnn] [--rounds 15] [--before CHECKOUT] [--write]

Every row is a process of its own, and they take turns in random order. JAX runs the step of `sciddm train` as the command
line compiles it; "beside itself" is a second process of the same, whose ratio to the first is what noise makes of 1.
PyTorch gets what is known to help it on CPU: channels-last convolutions, fused Adam, foreach averages, all cores.
"""

import argparse
import json
import math
import os
import random
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
FIELD = {"x": (32, 32, 2)}
CLOUD = {"positions": (18, 3), "features": (18, 6)}
# name -> options of the network, batch size, shapes of one x
CASES = {
    "unet": ({"channels": (48, 96), "blocks": 1, "patch": 2, "attention_levels": (1,)}, 16, FIELD),
    "dit": ({"dim": 128, "depth": 6, "patch": 4}, 32, FIELD),
    "egnn": ({"hidden": 64, "layers": 4}, 64, CLOUD),
}
EMA, RATE, CLIP = 0.999, 1e-3, 1.0
# A round in which other processes took more than this share of the cores is taken again, up to so many times.
DISTURBED, PATIENCE = 0.05, 400
CORES = len(os.sched_getaffinity(0))
HEAD = """# A training step beside PyTorch

Whole steps of `sciddm train` (noise, loss, gradient, clipping, Adam, average, float32) beside PyTorch's, whose networks compute the same
function of the same weights. U-Net: channels (48, 96), 32x32x2; DiT: dim 128, depth 6, patch 4, 32x32x2; EGNN: hidden 64, 4 layers,
18 points. "A device a core" is what `sciddm train` takes on a CPU. Less is better; by `scripts/benchmarks/training.py --write` on a quiet
machine.

"""
ROWS = ("jax", "jax beside itself", "jax, a device a core", "torch eager", "torch.compile")


def case(name):
    """Options, batch size, and a batch of standard normal data: a dict of arrays."""
    import numpy as np

    options, size, shapes = CASES[name]
    rng = np.random.default_rng(0)
    return options, size, {key: rng.standard_normal((size, *shape), np.float32) for key, shape in shapes.items()}


def jax_network(name, options):
    from flax import nnx

    from sciddm.networks import EGNN, DiT, UNet

    kinds = {"unet": (UNet, 2), "dit": (DiT, 2), "egnn": (EGNN, CLOUD["features"][-1])}
    return kinds[name][0](kinds[name][1], **options, rngs=nnx.Rngs(0))


def jax_steps(name):
    """A function of a number of steps that returns the last loss, and the number of parameters."""
    from types import SimpleNamespace

    import jax
    import numpy as np

    import sciddm as sd
    from sciddm.config import base_config
    from sciddm.train import sharding, state

    options, size, batch = case(name)
    batch = batch["x"] if len(batch) == 1 else batch
    one = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), batch)
    fill = lambda value: jax.tree.map(lambda _: np.float32(value), one)  # noqa: E731
    normalizer = sd.Normalizer(fill(0.0), fill(1.0), jax.tree.map(lambda _: "", one))
    domain = SimpleNamespace(
        example=one, cond_example=None, noise=sd.White(), normalizer=normalizer,
        network=lambda config, rngs: jax_network(name, options),
    )  # fmt: skip
    config = base_config()
    config.training.update({"batch_size": size, "ema": EMA, "learning_rate": RATE, "grad_clip": CLIP})
    mesh, denoiser = sharding.make_mesh(config), state.make_denoiser(config, domain, 1.0)
    fresh = state.initial_state(config, denoiser)
    shardings = sharding.state_sharding(fresh, mesh)
    step = jax.jit(state.make_train_step(config, domain, denoiser, mesh), donate_argnums=0, out_shardings=(shardings, None))
    here = sharding.place(fresh, shardings)
    batch = sharding.place({"x": batch}, jax.tree.map(lambda _: sharding.batch_sharding(mesh), {"x": batch}))
    held = [here]

    def run(count):
        before = None
        for _ in range(count):
            held[0], metrics = step(held[0], batch, np.float32(0.0))
            jax.block_until_ready(before)  # as the training loop does
            before = metrics
        return float(metrics["loss"])

    return run, sum(leaf.size for leaf in jax.tree.leaves(fresh.params))


def torch_steps(name, compiled: bool):
    """As `jax_steps`: EDM's preconditioning and weights (arXiv:2206.00364, table 1) at sigma_data = 1."""
    import torch
    import torch_networks as mirrors

    torch.set_num_threads(CORES)
    options, size, batch = case(name)
    torch.manual_seed(0)
    if name == "dit":
        from sciddm.networks.dit import positions

        side = FIELD["x"][0] // options["patch"]
        module = mirrors.DiT(2, positions((side, side), options["dim"]), **options)
    elif name == "unet":
        module = mirrors.UNet(2, **options).to(memory_format=torch.channels_last)
    else:
        module = mirrors.EGNN(CLOUD["features"][-1], **options)
    from sciddm.networks import split

    mirrors.copy_parameters(split(jax_network(name, options)).params, module)
    x_0 = {key: torch.from_numpy(leaf) for key, leaf in batch.items()}
    entries = sum(leaf[0].numel() for leaf in x_0.values())
    parameters = list(module.parameters())
    averages = [p.detach().clone() for p in parameters]
    adam = torch.optim.Adam(parameters, lr=RATE, betas=(0.9, 0.99), fused=True)

    def loss_of(x_0):
        # Stratified normal ln sigma, shifted by ln(1 / 0.5) as sciddm's sampler does.
        u = ((torch.arange(size) / size + torch.rand(1)) % 1.0).clamp(1e-4, 1 - 1e-4)
        sigma = torch.exp(1.2 * torch.special.ndtri(u) - 1.2 + math.log(2.0))
        total, scaled, noisy = 0.0, {}, {}
        each = lambda value, leaf: value.view(-1, *(1,) * (leaf.ndim - 1))  # noqa: E731
        for key, leaf in x_0.items():
            noisy[key] = leaf + each(sigma, leaf) * torch.randn_like(leaf)
            scaled[key] = noisy[key] * each(torch.rsqrt(1 + sigma**2), leaf)
        output = module(scaled if len(scaled) > 1 else scaled["x"], torch.log(sigma) / 4)
        output = output if len(scaled) > 1 else {"x": output}
        for key, leaf in x_0.items():
            skip, out = 1 / (1 + sigma**2), sigma * torch.rsqrt(1 + sigma**2)
            error = each(skip, leaf) * noisy[key] + each(out, leaf) * output[key] - leaf
            total = total + error.square().flatten(1).sum(1)
        return ((1 + sigma**2) / sigma**2 * total / entries).mean()

    compute = torch.compile(loss_of) if compiled else loss_of

    def run(count):
        for _ in range(count):
            adam.zero_grad(set_to_none=True)
            loss = compute(x_0)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(parameters, CLIP, foreach=True)
            adam.step()
            torch._foreach_lerp_(averages, [p.detach() for p in parameters], 1 - EMA)
        return loss.item()

    return run, sum(p.numel() for p in parameters)


def worker(name, row) -> None:
    """Answers every line on stdin, a number of steps, with the seconds, the processor seconds, and the last loss."""
    run, parameters = torch_steps(name, row == "torch.compile") if row.startswith("torch") else jax_steps(name)
    run(5)
    print(json.dumps(parameters), flush=True)
    for line in sys.stdin:
        wall, cpu, everyone = time.perf_counter(), time.process_time(), busy_seconds()
        loss = run(int(line))
        wall, cpu, everyone = time.perf_counter() - wall, time.process_time() - cpu, busy_seconds() - everyone
        print(json.dumps([wall, cpu, loss, max(everyone - cpu, 0.0) / (wall * CORES)]), flush=True)


def busy_seconds() -> float:
    """Processor seconds of all processes since the machine started; 0 where the system does not tell."""
    if not os.path.exists("/proc/stat"):
        return 0.0
    user, nice, system, _, _, irq, soft, steal = map(int, open("/proc/stat").readline().split()[1:9])
    return (user + nice + system + irq + soft + steal) / os.sysconf("SC_CLK_TCK")


def start(name, row, checkout=None):
    from sciddm.caches import folder

    environment = os.environ | {"JAX_NUM_CPU_DEVICES": str(CORES if "a device a core" in row else 1)}
    environment.setdefault("JAX_COMPILATION_CACHE_DIR", str(folder("compiled").expanduser()))
    environment["PYTHONPATH"] = str(checkout or HERE.parent.parent)
    command = [sys.executable, __file__, "--worker", name, row]
    return subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def ask(process, count):
    process.stdin.write(f"{count}\n")
    process.stdin.flush()
    return json.loads(process.stdout.readline())


def measure(name, rows, rounds, checkout):
    """{row: (rounds, 2) wall and processor seconds a step}, and the number of parameters, the same in all."""
    import numpy as np

    processes = {row: start(name, row, checkout if "before" in row else None) for row in rows}
    counts = {row: json.loads(process.stdout.readline()) for row, process in processes.items()}
    if len(set(counts.values())) > 1:
        raise SystemExit(f"{name}: the networks differ in their number of parameters, {counts}")
    times = {row: [] for row in rows}
    steps = {row: max(3, math.ceil(0.5 / (ask(process, 5)[0] / 5))) for row, process in processes.items()}
    done, patience = 0, PATIENCE
    while done < rounds:
        turns = {}
        for row in random.sample(list(rows), len(rows)):
            wall, cpu, loss, others = ask(processes[row], steps[row])
            if not math.isfinite(loss):
                raise SystemExit(f"{name}, {row}: the loss is not finite")
            if others > DISTURBED and patience > 0:
                patience -= 1
                time.sleep(0.5)
                break
            turns[row] = wall / steps[row], cpu / steps[row], others
        else:
            done += 1
            for row, turn in turns.items():
                times[row].append(turn)
    for process in processes.values():
        process.stdin.close()
        process.wait()
    return {row: np.array(values) for row, values in times.items()}, next(iter(counts.values()))


def table(name, times, parameters) -> str:
    """Markdown rows: medians, and the ratio of wall times round by round, so that all meet the same machine."""
    import numpy as np

    lines, reference = [], reference_of(times)
    for row, values in times.items():
        wall, cpu, others = np.median(values, axis=0)
        low, ratio, high = np.quantile(values[:, 0] / times[reference][:, 0], [0.25, 0.5, 0.75])
        lines.append(
            f"| {name}, {parameters / 1e6:.2f} M | {row} | {1e3 * wall:.1f} | {1e3 * cpu:.1f} | {cpu / wall:.2f} | "
            f"{ratio:.2f} ({low:.2f} to {high:.2f}) | {100 * others:.0f} |"
        )
    return "\n".join(lines)


def reference_of(rows) -> str:
    """The row that the others' wall times are divided by."""
    return "torch.compile" if "torch.compile" in rows else next(iter(rows))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS))
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--before", type=Path, help="a checkout of an earlier state, as rows of their own")
    parser.add_argument("--write", action="store_true", help="put the table into results/training.md")
    parser.add_argument("--worker", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        worker(*arguments.worker)
        return
    from machine import describe

    rows = list(arguments.rows)
    if arguments.before:
        rows += ["jax before", "jax before, a device a core"]
    lines = [
        f"| network | row | wall, ms | processor, ms | cores busy | wall over that of {reference_of(rows)} (quartiles) | others, % |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    print("\n".join(lines), flush=True)
    for name in arguments.networks:
        lines.append(table(name, *measure(name, rows, arguments.rounds, arguments.before)))
        print(lines[-1], flush=True)
    sizes = ", ".join(f"{name} {CASES[name][1]}" for name in arguments.networks)
    import torch

    lines.append(
        f"\nOne training step, float32, batches of {sizes}; medians of {arguments.rounds} turns of about half a second, in "
        f"random order. torch {torch.__version__}. {describe()}"
    )
    print(lines[-1])
    if arguments.write:
        out = HERE / "results" / "training.md"
        old = out.read_text() if out.exists() else ""
        notes = old[old.index("\n## ") :] if "\n## " in old else ""
        out.write_text(HEAD + "\n".join(lines) + "\n" + notes)


if __name__ == "__main__":
    main()
