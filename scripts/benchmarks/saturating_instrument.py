"""Fields from an instrument that saturates, beside the best linear answer, problem by problem.

    python scripts/benchmarks/saturating_instrument.py RUN [--problems 32] [--members 19] [--width 0.1] [--noise 0.1]

The instrument sees the first variable on every sixth point each way, as y = tanh((u - mean) / (width * range)) + noise:
a number between -1 and 1 that hardly says how far u is above or below its mean. The linear answer is the ridge regression of all fields on
y over all training fields, its penalty by leaving one out, with the errors that it had on fields set aside as its ensemble: no method that
is linear in y, kriging and the ensemble Kalman filter among them, knows the covariances better. Writes results/saturating_instrument.md.
"""

import argparse
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from machine import describe
from tqdm import tqdm

import sciddm as sd
from domains.fields import baselines, metrics

RESULTS = Path(__file__).parent / "results" / "saturating_instrument.md"


def make_instrument(domain, width: float):
    """fields -> (B, ...) of the first variable's points, saturated; for models of single times."""
    name, every = domain.variables[0], (slice(None), *(slice(3, None, 6) for _ in domain.layout.space))
    least, most = float(domain.facts.least[0]), float(domain.facts.most[0])
    middle, scale = float(np.nanmean(domain.mean_field[..., 0])), width * (most - least)
    return lambda fields: jnp.tanh((fields[name][every] - middle) / scale)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--problems", type=int, default=32)
    parser.add_argument("--members", type=int, default=19)
    parser.add_argument("--width", type=float, default=0.1, help="of the part of the range that is not saturated")
    parser.add_argument("--noise", type=float, default=0.1)
    parser.add_argument("--method", default="mmps(iterations=3)")
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments, rest = parser.parse_known_args()
    model = sd.load(arguments.run, overrides=rest)
    domain, layout = model.domain, model.domain.layout
    instrument, rng = make_instrument(domain, arguments.width), np.random.default_rng(0)
    see = lambda x: np.asarray(instrument(domain.by_name(jnp.asarray(x))))  # noqa: E731
    train, test = domain.dataset("train"), domain.dataset("test")
    fields = np.stack([train[i]["x"] for i in tqdm(range(len(train)), desc="training fields")])
    seen = see(fields)
    seen = seen + arguments.noise * rng.standard_normal(seen.shape)
    linear = baselines.regression(seen.reshape(len(seen), -1), fields.reshape(len(fields), -1))
    scores = {"posterior": [], "linear": []}
    for i in tqdm(range(arguments.problems), desc="problems"):
        truth = domain.unmasked(test[i]["x"])
        value = see(domain.filled(truth)[None])[0]
        value = value + arguments.noise * rng.standard_normal(value.shape)
        observation = model.observe(instrument, value, arguments.noise)
        made = model.sample(jax.random.key(i), arguments.members, observe=observation, method=arguments.method)
        answers = {
            "posterior": domain.from_native(made),
            "linear": linear.draw(value.ravel(), arguments.members, seed=i).reshape(-1, *layout.shape).astype(np.float32),
        }
        for method, answer in answers.items():
            scores[method].append(metrics.ensemble_scores(layout, domain.unmasked(answer), truth, domain.scales))
    names = [name for name in scores["linear"][0] if " of " in name]
    columns = {method: {name: np.array([row[name] for row in rows]) for name in names} for method, rows in scores.items()}
    lines = ["| | " + " | ".join(names) + " |", "| --- |" + " --- |" * len(names)]
    lines += [f"| {method} | " + " | ".join(f"{row[name].mean():.3g}" for name in names) + " |" for method, row in columns.items()]
    lines += ["", "| CRPS less than that of the linear answer | by | standard errors |", "| --- | --- | --- |"]
    for name in (name for name in names if name.startswith("CRPS")):
        gain = columns["linear"][name] - columns["posterior"][name]
        error = gain.std(ddof=1) / np.sqrt(len(gain))
        lines.append(f"| {name.removeprefix('CRPS of ')} | {gain.mean():.3g} +- {error:.2g} | {gain.mean() / error:.1f} |")
    text = (
        f"# An instrument that saturates\n\n{arguments.problems} held-out problems, {arguments.members} members, training step "
        f"{model.step}; tanh of {domain.variables[0]} about its mean, linear within {arguments.width:g} of the range, on every sixth point "
        f"each way, noise {arguments.noise:g}; {arguments.method}. "
        f"The linear answer knows {len(fields)} training fields. CRPS: less is better. "
        f"{describe()}\n\n" + "\n".join(lines) + "\n"
    )
    arguments.out.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
