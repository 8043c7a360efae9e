"""Deterministic samplers at 5, 10 and 20 network calls: our defaults beside azula's, flow_matching's and diffusers'. See `peers.py`."""

import importlib
import time

import jax
import jax.numpy as jnp
import numpy as np
from machine import describe
from peers_laws import NAMES, SAMPLES, SCALED, Case, case
from sampling_common import Table

import sciddm as sd
from sciddm.own_grid import search_own
from sciddm.train.own_grid import SAMPLES as SEARCHED

CALLS = (5, 10, 20)
PROCESSES = ("vp", "cosine", "rectified", "edm")
LIBRARIES = {"azula": "peers_azula", "flow_matching": "peers_flow_matching", "diffusers": "diffusers_schedulers"}
MEASURES = ("W", "rms")


OWN = "sciddm, own grid"  # as a run has it by default


def ours(one: Case, process: str, calls: int, grid=None):
    """What `sd.sample` gives when told nothing but the number of steps, or the law's own grid besides, as the peers' `solve`."""
    process = getattr(sd.GaussianProcess, process)()
    # alpha is 0 at the end of some processes, where any r is large enough
    start, r = float(process.sigma(1.0)) * one.noise, min(float(np.exp(-0.5 * process.log_snr(1.0))), 1e3 * one.std)
    steps, denoiser, x = calls, one.denoiser(process), one.into(start)
    while int((result := sd.sample(0, denoiser, x.shape, steps=steps, grid=grid, start=x))[1]["network_calls"]) > calls:
        steps -= 1
    samples, info = result
    return one.back(samples), int(info["network_calls"]), r * one.noise, r


def measure(one: Case, solve) -> np.ndarray:
    """(CALLS, MEASURES, seeds) of solve: calls -> samples, calls made, y, r; and whether it ends at all."""
    rows = []
    for calls in CALLS:
        samples, made, y, r = solve(calls)
        if made > calls or not made or not np.all(np.isfinite(samples)):
            rows.append(np.full((2, one.seeds), np.nan))
        else:
            rows.append([one.distance(samples), one.paired(samples, y, r)])
    return np.array(rows)


def peers() -> dict:
    """Library -> its module, of those that are installed."""
    found = {}
    for library, module in LIBRARIES.items():
        try:
            found[library] = importlib.import_module(module)
        except ImportError as error:
            print(f"{library} is missing: {error}")
    return found


def names(module) -> list[str]:
    all_names = getattr(module, "SAMPLERS", None) or [n for n in module.SCHEDULERS if module.deterministic(n)]
    return list(all_names)


def results_of(one: Case, modules: dict, kept=None) -> dict:
    """Label -> `measure`, ours first. kept: a file of the peers' rows, read if it is there and else written."""
    results = {f"sciddm default, {p}": measure(one, lambda calls, p=p: ours(one, p, calls)) for p in PROCESSES}
    denoiser = one.denoiser(sd.GaussianProcess.vp())
    grid = search_own(7, denoiser, jax.eval_shape(lambda: one.into(jnp.asarray(one.noise[:SEARCHED]))))
    results[OWN] = measure(one, lambda calls: ours(one, "vp", calls, grid))
    if kept is not None and kept.exists():
        with np.load(kept) as rows:
            return results | dict(rows)
    rows = {}
    for library, module in modules.items():
        for name in names(module):
            solve = lambda calls, name=name, module=module: module.solve(name, calls, one.noise, one.x0_hat)  # noqa: E731
            rows[f"{library} {name}"] = measure(one, solve)
    if kept is not None:
        np.savez(kept, **rows)
    return results | rows


def samplers(table: Table, seeds: int, laws=NAMES, keep=None) -> None:
    """The summary, and a table of all rows for each law. keep: a folder for the rows of the peers, which our changes leave as they are."""
    modules, found, floors, began = peers(), {}, {}, time.perf_counter()
    for name in laws:
        one = case(name, seeds)
        kept = keep and keep / f"{name.replace(' ', '_').replace(',', '')}_{seeds}.npz"
        found[name], floors[name] = results_of(one, modules, kept), one.floor
        print(f"{name}: {time.perf_counter() - began:.0f} s", flush=True)
    for name, base in SCALED.items():
        # a peer may be given data divided by their width: that is the law of width 1 from the same noise
        if name in found and base in found:
            peers_rows = {label: rows for label, rows in found[base].items() if not label.startswith("sciddm")}
            found[name] |= {f"{label}, normalised": rows for label, rows in peers_rows.items()}
    versions = ", ".join(module.versions() for module in modules.values())
    table.line(
        "Our default beside the deterministic samplers of other libraries, on laws whose denoiser is known and that no default was tuned "
        "on. W: sliced Wasserstein-1 distance to exact samples; floor: of two exact sets; rms: root mean square distance to the end of the "
        "exact flow from the same start, a coordinate; both in units of the law's standard deviation. "
        f"{SAMPLES} samples, means of {seeds} seeds. Less is better. `sciddm default` is `sd.sample(key, denoiser, shape, steps=n)`; a "
        "peer's row is its method on its schedule. `own grid`: the one that a run searches at the end of training, here on the law's "
        f"denoiser from {SEARCHED} samples of other noise. Data of another width than 1 are given to the peers as they are, and divided "
        "by their width (`normalised`)."
    )
    summary(table, found, floors)
    for name in laws:
        table.line(f"\n**{name}**. Mean over the seeds (and its standard error); the floor of W is {shown(floors[name])}.")
        table.head("", *(f"{m}, {calls} calls" for m in MEASURES for calls in CALLS))
        for label, rows in found[name].items():
            table.row(label, *(shown(rows[i, m]) for m in range(2) for i in range(len(CALLS))))
    table.line(f"\n{versions}. {seeds} seeds, {time.perf_counter() - began:.0f} s. {describe()}")


def summary(table: Table, found: dict, floors: dict) -> None:
    """Law x measure x calls: our defaults, the best peer, and whether ours are within 10 % or two standard errors of it."""
    table.line(
        "\nA number of ours is **bold** where it is more than 10 % above the best row of any peer and more than two standard errors of "
        "their difference over the seeds, which share noise and exact samples; the rest hold."
    )
    rows_of_ours = {**{p: f"sciddm default, {p}" for p in PROCESSES}, "vp, own grid": OWN}
    table.head("law", "measure", "calls", *rows_of_ours, "best peer", "its row", "ours (vp) / best", "floor")
    holds = np.zeros(len(rows_of_ours), int)
    for name, results in found.items():
        theirs = {label: rows for label, rows in results.items() if not label.startswith("sciddm")}
        for m, measure_name in enumerate(MEASURES):
            for i, calls in enumerate(CALLS):
                best = min(theirs, key=lambda label: np.nan_to_num(theirs[label][i, m].mean(), nan=np.inf))
                best_rows, cells = theirs[best][i, m], []
                for k, label in enumerate(rows_of_ours.values()):
                    row = results[label][i, m]
                    good = holds_beside(row, best_rows)
                    holds[k] += good
                    cells.append(number(row.mean()) if good else f"**{number(row.mean())}**")
                ratio = results["sciddm default, vp"][i, m].mean() / best_rows.mean()
                floor = number(floors[name].mean()) if m == 0 else ""
                table.row(name, measure_name, calls, *cells, number(best_rows.mean()), best, f"{ratio:.2f}", floor)
    columns = len(found) * len(MEASURES) * len(CALLS)
    totals = ", ".join(f"{n} of {columns} rows on {p}" for n, p in zip(holds, rows_of_ours, strict=True))
    table.line(f"\nHolds in {totals}.")


def holds_beside(row, best) -> bool:
    """Within 10 % of the best, or within two standard errors of the paired difference."""
    difference = row - best
    error = difference.std(ddof=1) / np.sqrt(len(difference)) if len(difference) > 1 else 0.0
    return bool(row.mean() <= 1.1 * best.mean() or difference.mean() <= 2.0 * error)


def number(value: float) -> str:
    digits = 2 if value >= 1 else 3 if value >= 0.01 else 4
    return f"{value:.{digits}f}".removeprefix("0")


def shown(values) -> str:
    """The mean, and its standard error in brackets."""
    values = np.asarray(values)
    if not np.all(np.isfinite(values)):
        return "-"
    error = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else 0.0
    return f"{number(values.mean())} ({number(error)})"
