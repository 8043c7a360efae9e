"""How good are restored sounds? A trained run on held-out clips beside the classical methods: paired, with the ceiling and the untreated.

Usage: python scripts/benchmarks/audio.py --workdir RUN [--clips 56 --members 8 --only inpaint-60ms declip ... --long 15 30 60 --ranks 19]
Other --config.KEY=VALUE are as of `sciddm sample`, such as --config.sampling.steps=10. Prints the tables and writes every clip's scores to
RUN/audio.json, from which a second call of the same model and values goes on.
"""

import argparse
import json
import multiprocessing
import resource
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import jax
import numpy as np
import scipy.stats
from machine import describe
from tqdm import tqdm

import sciddm as sd
from domains.audio import metrics, plots
from domains.audio.mdct import imdct
from sciddm.evaluation import save_figure

# name -> (task, its options, the methods that it is paired with)
CASES = {
    **{f"inpaint-{ms}ms": ("inpaint", {"seconds": ms / 1000}, ("Janssen", "extrapolation")) for ms in (20, 60, 100, 200)},
    "declip": ("declip", {}, ("A-SPADE",)),
    "bandwidth": ("bandwidth", {}, ("sinc",)),
    **{f"denoise-{snr}dB": ("denoise", {"snr": float(snr)}, ("Wiener",)) for snr in (0, 5, 10)},
}
ONE_CALL = "model, 1 call"  # of the network at full noise, which answers the mean of all that is possible


def scored(load, name: str, clips: int, members: int, kept: dict, save) -> dict:
    """Scores of each clip, method -> metric -> (clips,), and seconds an answer of it; `kept` holds what is done already."""
    task, options, _ = CASES[name]
    changes = {f"tasks.{task}.{key}": value for key, value in options.items()}
    model, one_call = (load(changes=changes | more) for more in ({}, {"sampling.steps": 1}))
    rows = kept.setdefault(name, {"seconds": [], "scores": {}})
    examples = model.examples(task)
    for i in tqdm(range(len(rows["seconds"]), min(clips, len(examples))), desc=name):
        problem = model.problem(task, element=examples[i], key=jax.random.fold_in(jax.random.key(0), i))
        start = time.perf_counter()
        samples = model.solve(i, task, problem, members)
        seconds = time.perf_counter() - start
        kind = model.task(task)
        answers = {"model": samples, ONE_CALL: one_call.solve(i, task, problem, 1)}
        answers |= {k: one[None] for k, one in kind.baseline(problem).items()} | {"truth": problem.truth[None]}
        for method, answer in answers.items():
            for metric, value in kind.metrics(answer, problem).items():
                rows["scores"].setdefault(method, {}).setdefault(metric, []).append(float(value))
        rows["seconds"].append(seconds / members)
        save()
    return rows


def table(name: str, rows: dict) -> str:
    """Means over clips; of the model the difference from the paired method, with the p-value of Wilcoxon's signed ranks."""
    paired, scores = CASES[name][2], {k: {m: np.array(v) for m, v in one.items()} for k, one in rows["scores"].items()}
    columns = list(scores["model"])
    lines = [f"| {name}, {len(rows['seconds'])} clips | " + " | ".join(columns) + " |", "| --- " * (len(columns) + 1) + "|"]
    for method, row in scores.items():
        lines.append(f"| {method} | " + " | ".join(shown(np.nanmean(row[c])) for c in columns) + " |")
    for ours, method in [("model", method) for method in paired] + [(ONE_CALL, paired[0])]:
        cells = []
        for column in columns:
            gain = scores[ours][column] - scores[method][column]
            gain = gain[np.isfinite(gain)]
            p = scipy.stats.wilcoxon(gain).pvalue if len(gain) > 5 and np.any(gain) else np.nan
            cells.append(f"{np.mean(gain):+.2f} (p {p:.1g})" if len(gain) else "-")
        lines.append(f"| {ours} less {method} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def shown(value: float) -> str:
    return "-" if not np.isfinite(value) else f"{value:.2f}"


def ranks(load, members: int, clips: int, folder: Path) -> str:
    """Coverage of the truth's log spectrum inside gaps of 60 and 200 ms by the least and greatest of `members` answers."""
    lines = []
    for ms in (60, 200):
        model = load(changes={"tasks.inpaint.seconds": ms / 1000})
        counts, examples = 0, model.examples("inpaint")
        for i in tqdm(range(clips), desc=f"ranks, {ms} ms"):
            problem = model.problem("inpaint", element=examples[i], key=jax.random.fold_in(jax.random.key(0), i))
            waves = imdct(np.asarray(model.solve(i, "inpaint", problem, members), np.float64)[..., 0])
            truth, gap = imdct(problem.truth.astype(np.float64)[..., 0]), model.task("inpaint").where(problem)
            counts = counts + metrics.spectrum_ranks(waves, truth, inside(gap), window=256, hop=64)[1]
        coverage = counts[1:-1].sum() / counts.sum()
        save_figure(plots.ranks(counts, coverage, (members - 1) / (members + 1)), folder / f"audio-ranks-{ms}ms.png")
        lines.append(f"| {ms} ms | {coverage:.1%} | {(members - 1) / (members + 1):.1%} |")
    head = f"| gaps | within the least and greatest of {members} | where all is right |\n| --- | --- | --- |"
    return "\n".join([head, *lines])


def inside(gap, window: int = 256):
    """The middle of gaps: frames that touch it lie in the gap with half of their window at least."""
    edge = window // 2
    return np.convolve(gap, np.ones(2 * edge + 1), "same") > 2 * edge + 0.5 if gap.any() else gap


def long(load, lengths) -> str:
    """Noise of 5 dB taken away from held-out sounds one after the other, by windows: LSD at seams and elsewhere, time and memory."""
    lines = ["| seconds | LSD at seams [dB] | elsewhere [dB] | over | s a s | peak memory [GB] |", "| --- | --- | --- | --- | --- | --- |"]
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), max_tasks_per_child=1) as apart:  # each with a peak of its own
        return "\n".join([*lines, *apart.map(long_of, [load] * len(lengths), lengths)])


def long_of(load, seconds: float) -> str:
    """A row of `long`."""
    model = load(changes={"tasks.long.seconds": float(seconds), "tasks.denoise.snr": 5.0})
    example = model.task("long").examples()[0]
    problem = model.problem("denoise", element=example)
    model.solve(1, "denoise", problem, 1)
    start = time.perf_counter()
    answer = imdct(np.asarray(model.solve(0, "denoise", problem, 1), np.float64)[0, ..., 0])
    spent = time.perf_counter() - start
    truth = imdct(problem.truth.astype(np.float64)[..., 0])
    near = np.zeros(len(truth), bool)
    for seam in model.task("long").seams(len(problem.truth)):
        near[max(seam - 128, 0) : seam + 128] = True
    at, off = (metrics.log_spectral_distance(answer, truth, where=where, window=256, hop=64) for where in (near, away(near)))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    return f"| {seconds} | {at:.2f} | {off:.2f} | {at / off:.3f} | {spent / seconds:.2f} | {peak:.2f} |"


def away(near, window: int = 256):
    """Samples whose frames don't touch what is near a seam."""
    return np.convolve(near, np.ones(2 * window + 1), "same") < 0.5


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--workdir", type=Path, required=True)
    parser.add_argument("--clips", type=int, default=56)
    parser.add_argument("--members", type=int, default=8)
    parser.add_argument("--only", nargs="*", default=list(CASES), choices=list(CASES))
    parser.add_argument("--ranks", type=int, default=0, help="answers of each clip for the ranks; 0: none")
    parser.add_argument("--long", type=int, nargs="*", default=(), help="seconds")
    arguments, overrides = parser.parse_known_args()
    load = partial(sd.load, arguments.workdir, overrides=overrides)
    model, about = load(), " ".join(overrides)
    file = arguments.workdir / "audio.json"
    kept = json.loads(file.read_text()) if file.exists() else {}
    kept = kept if kept.get("step") == model.step else {"step": model.step}
    done = kept.setdefault(f"{arguments.members} answers {about}".strip(), {})
    print(f"{describe()}; step {model.step}, {arguments.members} answers a clip {about}\n")
    for name in arguments.only:
        rows = scored(load, name, arguments.clips, arguments.members, done, lambda: file.write_text(json.dumps(kept)))
        calls = model.config.sampling.steps
        seconds = np.median(rows["seconds"])
        print(f"{table(name, rows)}\n\n{calls} calls an answer, {seconds:.2f} s, {seconds / 3.008:.2f} s a second of sound\n", flush=True)
    if arguments.long:
        print(long(load, arguments.long), "\n", flush=True)
    if arguments.ranks:
        print(ranks(load, arguments.ranks, arguments.clips, arguments.workdir / "plots"), flush=True)


if __name__ == "__main__":
    main()
