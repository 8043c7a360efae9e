"""Which particle method serves a reward best? Answers at equal network calls, beside a held-out reward: a table and a picture."""

import json
import sys
import time
from collections.abc import Callable, Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

from sciddm import grids, particles
from sciddm.activity import Bar
from sciddm.data.made import replace_text
from sciddm.denoiser import Denoiser
from sciddm.errors import UserError
from sciddm.model import Model
from sciddm.named import near
from sciddm.rewards.reward import get_reward, reward_of_data, reward_potential
from sciddm.sample import sample

MOST_FOR_SPREAD = 64  # pairs grow with the square
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")  # distinct to all eyes (Okabe & Ito)
MARKERS = "sD^vPXhd<>p"


def steer(
    model: Model, methods: Sequence[str] = ("all",), reward: str | None = None, *, budget: int | None = None, members: int = 8,
    strength: float = 1.0, seed: int = 0, progress: bool = True, keep: Callable[[list[dict]], object] | None = None,
) -> list[dict]:  # fmt: skip
    """A row of scores for the held-out data, the tilted data, the plain model ("none") and each method.

    Tilted are the training data weighed by exp(potential): what an exact method scores with a perfect model. More reward than that with
    a held-out reward below it is over-optimisation.

    A member is one independent answer, `result.draw`, of a method that spends `budget` network calls on it. Member i has the same key
    with all methods. A row has, over the finite answers: mean and standard error of the reward and of its held-out one, network
    calls and seconds an answer (compiled before), `spread`: mean root-mean-square distance of pairs of normalised answers, over
    that of the plain model's, and `non_finite`, the share of the others.

    Args:
        methods: names of `sciddm.particles.METHODS`, or "all", of which those that refuse the budget or the steps are left out, with
        a line on stderr; reward: of the domain's, None: its first; strength: nats that one scale of the reward is worth; budget:
        None: 16 times the steps of config.sampling; keep: is given the rows so far whenever there is one more, to store them.
    Raises: UserError on an unknown method or reward, or a budget below what a named method needs, before anything is sampled.
    """
    domain, steps = model.domain, model.config.sampling.steps
    reward = next(iter(domain.rewards), "") if reward is None else reward
    asked, known = get_reward(domain, reward), _known(methods)
    held_out = get_reward(domain, asked.held_out)
    potential, budget = reward_potential(domain, reward, strength), 16 * steps if budget is None else budget
    # One size for all: particles of a population must be able to take each other's place.
    denoiser = model.denoiser_for(domain.draw_cond(jax.random.split(jax.random.key(seed), 1)))
    programs = {"none": _traced(_plain(model), denoiser, potential, "config.sampling: {}")}
    refused = []
    for name in particles.METHODS if "all" in methods else known:
        method = _particle_method(particles.METHODS[name], domain.example, budget, steps)
        refusal = f"--steer {name} --budget {budget}: {{}} (steps are --config.sampling.steps)"
        try:
            programs[name] = _traced(method, denoiser, potential, refusal)
        except UserError as error:
            if name in known:
                raise
            refused.append(error)
    if len(programs) == 1:
        raise UserError(f"no method is left: {'; '.join(map(str, refused))}")
    for error in refused:
        print(f"left out: {error}", file=sys.stderr)

    made = {"reward": reward, "held_out": asked.held_out, "units": asked.units, "held_out_units": held_out.units}
    made |= {"strength": strength, "seed": seed, "step": model.step, "sampling": dict(model.config.sampling)}
    keys = [jax.random.fold_in(jax.random.key(seed), i) for i in range(members)]
    rows = [row | made for row in _of_data(domain, reward, asked.held_out, potential)]
    keep = keep or (lambda rows: None)
    keep(rows)
    unit = None
    with Bar(total=len(programs) * members, desc="steer", unit="answer", disable=not progress) as bar:
        for name, traced in programs.items():
            bar.set_postfix_str(name)
            z, calls, seconds = _answers(traced.compile(), keys, denoiser, potential, bar)
            flat = np.concatenate([np.asarray(leaf).reshape(members, -1) for leaf in jax.tree.leaves(z)], axis=1)
            x, finite = domain.normalizer.denormalize(z), np.isfinite(flat).all(axis=1)
            spread = _spread(flat[finite])
            unit = spread if unit is None else unit
            row = {"method": name, "budget": max(calls) if name == "none" else budget, "members": members, **made}
            row |= _mean_and_error("reward", np.asarray(asked.function(x))[finite])
            row |= _mean_and_error("held_out", np.asarray(held_out.function(x))[finite])
            row |= {"network_calls": float(np.mean(calls)), "seconds": seconds, "spread": spread / unit}
            rows.append(row | {"non_finite": float(np.mean(~finite))})
            keep(rows)
    return rows


def format_rows(rows: list[dict]) -> str:
    """The rows as a markdown table, a row a method; +- is the standard error."""
    first, lost = rows[0], any(row.get("non_finite") for row in rows)
    header = ["method", f"{first['reward']} [{first['units']}]"]
    header += [f"held out: {first['held_out']} [{first['held_out_units']}]", "calls", "seconds", "spread"]
    header += ["not finite"] * lost
    cells = [header, ["---"] * len(header)]
    for row in rows:
        scores = [f"{row[f'{key}_mean']:.4g} +- {row[f'{key}_error']:.2g}" for key in ("reward", "held_out")]
        costs = {"network_calls": ".6g", "seconds": ".3g", "spread": ".2f"}
        line = [row["method"], *scores, *(f"{row[key]:{form}}" if key in row else "-" for key, form in costs.items())]
        cells.append(line + [f"{row.get('non_finite', 0.0):.2f}"] * lost)
    widths = [max(len(line[i]) for line in cells) for i in range(len(cells[0]))]
    return "\n".join(
        "| " + " | ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)) + " |" for line in cells
    )


def store(rows: list[dict], path) -> list[dict]:
    """Add rows to those of a JSON file, and return all: one is replaced only by one made in the same way.

    Raises: UserError if the file is there and holds no rows.
    """
    try:
        older = json.loads(path.read_text())["rows"] if path.exists() else []
        kept = {_identity(row): row for row in [*older, *rows]}
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: holds no rows of an earlier --steer ({error!r}); move it away") from error
    plain = [{key: None if value != value else value for key, value in row.items()} for row in kept.values()]
    replace_text(path, json.dumps({"rows": plain}, indent=2) + "\n")
    return plain


def plot(rows: list[dict]):
    """Reward against held-out reward with standard errors: a colour and marker a method, a line through its budgets."""
    figure, axes = plt.subplots(figsize=(7.5, 4.6), layout="constrained")
    names = list(dict.fromkeys(row["method"] for row in rows))
    # a colour that comes again comes with an open marker
    styles = {"data": ("#999999", "*", None), "tilted data": ("#000000", "*", None), "none": ("#000000", "o", None)}
    shown = [name for name in names if name not in styles]
    for i, name in enumerate(shown):
        face = None if i < len(COLOURS) else "white"
        styles[name] = (COLOURS[i % len(COLOURS)], MARKERS[i % len(MARKERS)], face)
    several = len({row["budget"] for row in rows if row["method"] in shown}) > 1
    for name in names:
        # null in a file, where no answer was finite
        found = [row for row in rows if row["method"] == name and row["reward_mean"] is not None]
        found.sort(key=lambda row: row["budget"] or 0)
        if not found:
            continue
        x, dx, y, dy = (np.array([row[key] for row in found], float) for key in (
            "reward_mean", "reward_error", "held_out_mean", "held_out_error"))  # fmt: skip
        colour, marker, face = styles[name]
        size = 13 if marker == "*" else 7
        axes.errorbar(
            x,
            y,
            dy,
            dx,
            color=colour,
            marker=marker,
            mfc=face,
            ms=size,
            lw=1.2,
            elinewidth=1.0,
            capsize=2.5,
            label=name,
        )
        for row, one_x, one_y in zip(found, x, y, strict=True) if several and name in shown else ():
            axes.annotate(
                f"{row['budget']}", (one_x, one_y), (4, 4), textcoords="offset points", fontsize=7, color=colour
            )
    first = rows[0]
    axes.set(
        xlabel=f"reward: {first['reward']} [{first['units']}]",
        ylabel=f"held out: {first['held_out']} [{first['held_out_units']}]",
    )
    budgets = sorted({row["budget"] for row in rows if row["method"] in shown})
    axes.set_title(f"network calls an answer: {', '.join(map(str, budgets))}; bars are standard errors", fontsize=10)
    axes.grid(alpha=0.3)
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
    return figure


def comparable(rows: list[dict], like: dict) -> list[dict]:
    """The newest row of each method and budget, of the same reward, strength and checkpoint as the row `like`."""
    same = [row for row in rows if all(row[key] == like[key] for key in ("reward", "strength", "step"))]
    return list({(row["method"], row["budget"]): row for row in same}.values())


def _known(methods: Sequence[str]) -> list[str]:
    # those that were named, without "all"
    for name in methods:
        if name != "all" and name not in particles.METHODS:
            hint = near(name, particles.METHODS)
            raise UserError(f"--steer {name}: expected 'all' or one of {sorted(particles.METHODS)}{hint}")
    return [name for name in dict.fromkeys(methods) if name != "all"]


def _plain(model: Model) -> Callable:
    settings = model.config.sampling
    options = {"solver": settings.solver, "steps": settings.steps, "grid": settings.grid}
    if settings.grid.endswith(".json"):
        options["grid"] = grids.load(settings.grid)
    shapes = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((1, *leaf.shape), leaf.dtype), model.domain.example)

    def answer(key, denoiser, potential):
        samples, info = sample(key, denoiser, shapes, **options)
        return jax.tree.map(lambda leaf: leaf[0], samples), info["network_calls"]

    return answer


def _particle_method(method: Callable, example, budget: int, steps: int) -> Callable:
    def answer(key, denoiser, potential):
        key_method, key_draw = jax.random.split(key)
        result = method(key_method, denoiser, potential, example, budget=budget, steps=steps)
        return result.draw(key_draw), result.info["network_calls"]

    return answer


def _traced(answer: Callable, denoiser: Denoiser, potential, refusal: str):
    # Traced before anything runs: what a method refuses is said at once, and one program serves all members.
    def program(key, denoiser, potential):
        x, calls = answer(key, denoiser, potential)
        return x, jnp.asarray(calls)

    try:
        return eqx.filter_jit(program).lower(jax.random.key(0), denoiser, potential)
    except ValueError as error:
        raise UserError(refusal.format(error)) from error


def _answers(program: Callable, keys, denoiser, potential, bar):
    # normalised answers (M, ...), network calls of each, mean seconds
    answers, calls, start = [], [], time.perf_counter()
    for key in keys:
        answer, spent = program(key, denoiser, potential)
        answers.append(answer)
        calls.append(int(spent))
        bar.update()
    seconds = (time.perf_counter() - start) / len(keys)
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *answers), calls, seconds


def _of_data(domain, reward: str, held_out: str, potential) -> list[dict]:
    test, train = (reward_of_data(domain, [reward, held_out], split) for split in ("test", "train"))
    weights = np.asarray(jax.nn.softmax(train[reward] / potential.per_nat))
    data = {"method": "data", "budget": None, "members": len(test[reward])}
    data |= _mean_and_error("reward", test[reward]) | _mean_and_error("held_out", test[held_out])
    tilted = {"method": "tilted data", "budget": None, "members": len(weights)}
    tilted |= _weighted("reward", train[reward], weights) | _weighted("held_out", train[held_out], weights)
    return [data, tilted]


def _mean_and_error(name: str, values: np.ndarray) -> dict[str, float]:
    mean = float(np.mean(values)) if len(values) else float("nan")
    error = float(np.std(values, ddof=1)) / len(values) ** 0.5 if len(values) > 1 else float("nan")
    return {f"{name}_mean": mean, f"{name}_error": error}


def _weighted(name: str, values: np.ndarray, weights: np.ndarray) -> dict[str, float]:
    mean = weights @ values
    return {f"{name}_mean": float(mean), f"{name}_error": float(np.linalg.norm(weights * (values - mean)))}


def _spread(flat: np.ndarray) -> float:
    flat = flat[:MOST_FOR_SPREAD].astype(np.float64)
    if len(flat) < 2:
        return float("nan")
    first, second = np.triu_indices(len(flat), 1)
    return float(np.mean([np.sqrt(np.mean((flat[i] - flat[j]) ** 2)) for i, j in zip(first, second, strict=True)]))


def _identity(row: dict) -> str:
    names = ("method", "reward", "budget", "members", "strength", "seed", "step", "sampling")
    return json.dumps([row[name] for name in names], sort_keys=True)
