"""How good are the nowcasts? A trained run beside persistence, optical flow, STEPS and the oracle that knows the rain's own law.

Usage: python scripts/benchmarks/nowcast.py --workdir RUN [--events 24 --members 20 --steps 20 --solver unipc2 --pictures docs]
"""

import argparse
import time
from pathlib import Path

import jax
import matplotlib
import numpy as np
import xarray as xr
from machine import describe
from tqdm import tqdm

import sciddm as sd
from domains.weather import animate, generate, plots, verification_plots, verify
from domains.weather.tasks import past_of
from domains.weather.transform import decode
from sciddm.evaluation import save_figure

COLUMNS = (
    "CRPS", "CRPS at 5 min", "CRPS at 15 min", "CRPS at 30 min", "CRPS at 60 min", "skill", "spread/skill", "CSI 15 dBZ", "CSI 25 dBZ",
    "CSI 35 dBZ", "FSS 25 dBZ", "spectrum dB",
)  # fmt: skip


def forecasts_of(model, i, members, **options):
    """(past, truth, {name: (members, time, y, x)}) of held-out window i, all dBZ, and seconds of ours."""
    domain = model.domain
    x = domain.dataset("test")[i]["x"]
    truth = np.moveaxis(decode(x[..., domain.past :]), -1, 0)
    answers = domain.tasks["nowcast"].classical(x, domain.future, seed=i)
    answers = {name: answer[None] if answer.ndim == 3 else answer for name, answer in answers.items()}
    problem = model.problem("nowcast", x)
    start = time.perf_counter()
    ours = model.solve(jax.random.fold_in(jax.random.key(0), i), "nowcast", problem, members, **options)
    seconds = time.perf_counter() - start
    answers[f"ours-{members}"] = np.moveaxis(decode(ours[..., domain.past :]), -1, 1)
    if not model.config.data.path:
        index, start = domain.event_of("test", i)
        event, known = generate.Event(model.config.seed, index, domain.size), start + domain.past
        futures = [event.frames(known + domain.future, future_seed=s, known=known)[known:] for s in range(members)]
        answers[f"oracle-{members}"] = np.stack(futures)
    return past_of(x, domain), truth, answers, seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workdir", required=True)
    parser.add_argument("--events", type=int, default=24)
    parser.add_argument("--members", type=int, default=20)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--solver", default="unipc2")
    parser.add_argument("--pictures", type=Path, help="folder for the README's pictures")
    arguments = parser.parse_args()
    model = sd.load(arguments.workdir)
    options = {"steps": arguments.steps, "solver": arguments.solver}
    found = [forecasts_of(model, i, arguments.members, **options) for i in tqdm(range(arguments.events), unit="event")]
    minutes = model.domain.interval * (1 + np.arange(model.domain.future))
    axes = {"time": minutes}

    def stacked(name):
        return xr.DataArray(np.stack([row[2][name] for row in found]), axes, ("event", "member", "time", "y", "x"))

    truth = xr.DataArray(np.stack([row[1] for row in found]), axes, ("event", "time", "y", "x"))
    forecasts = {name: stacked(name) for name in found[0][2]}
    rows = verify.table(forecasts, truth)
    print("| | " + " | ".join(COLUMNS) + " |\n" + "| --- " * (1 + len(COLUMNS)) + "|")
    for name, row in rows.items():
        print(
            f"| {name} | "
            + " | ".join("-" if np.isnan(row.get(c, np.nan)) else f"{row[c]:.3f}" for c in COLUMNS)
            + " |"
        )
    seconds = np.median([row[3] for row in found])
    print(
        f"\n{arguments.events} held-out events, step {model.step}, {arguments.solver} of {arguments.steps} steps; {seconds:.1f} s for "
        f"{arguments.members} members. CRPS fair, dBZ; of single forecasts the absolute error. CSI of the mean. {describe()}"
    )
    if arguments.pictures:
        pictures(arguments.pictures, found, forecasts, truth, rows, model.domain.spacing)


def pictures(folder, found, forecasts, truth, rows, spacing) -> None:
    """The figures of the README."""
    matplotlib.use("agg")
    ours = next(name for name in forecasts if name.startswith("ours"))
    past, what, answers, _ = found[0]
    several = len(answers["STEPS-20"])
    rows_of = {"extrapolation": "extrapolation", "STEPS-20": "STEPS, member 1"}
    others = {label: answers[name][0] for name, label in rows_of.items()}
    notes = {rows_of["extrapolation"]: f"CRPS {rows['extrapolation']['CRPS']:.2f} dBZ"}  # all of them of all events
    notes |= {rows_of["STEPS-20"]: f"CRPS of all {several}: {rows['STEPS-20']['CRPS']:.2f} dBZ"}
    notes |= {f"mean of {len(answers[ours])}": f"CRPS of all {len(answers[ours])}: {rows[ours]['CRPS']:.2f} dBZ"}
    save_figure(plots.forecast(past, what, answers[ours], others, notes=notes), folder / "weather_forecast.png")
    save_figure(plots.stamps(answers[ours][:13, 5], what[5], 30), folder / "weather_stamps.png")
    save_figure(plots.exceedance(answers[ours], 25.0, what), folder / "weather_exceedance.png")
    save_figure(verification_plots.scores_by_lead(verify.by_lead(forecasts, truth)), folder / "weather_scores.png")
    ensembles = {name: f for name, f in forecasts.items() if f.sizes["member"] > 1}
    reliability = {name: verify.reliability(f, truth, 25.0) for name, f in ensembles.items()}
    save_figure(verification_plots.reliability_diagram(reliability), folder / "weather_reliability.png")
    ranks = {name: verify.rank_histogram(f, truth) for name, f in ensembles.items()}
    save_figure(verification_plots.rank_diagram(ranks), folder / "weather_ranks.png")
    powers = {"observed": verify.spectrum(truth, spacing)}
    powers |= {name: verify.spectrum(f, spacing) for name, f in forecasts.items() if name != "persistence"}
    save_figure(verification_plots.spectra(powers), folder / "weather_spectra.png")
    loops = {"observed": what} | {f"member {i + 1}": answers[ours][i] for i in range(3)}
    animate.gif({name: np.concatenate([past, loop]) for name, loop in loops.items()}, folder / "weather.gif")


if __name__ == "__main__":
    main()
