"""What a domain, a noise law and a solver must do, as checks for tests of your own. Each raises an AssertionError that says why."""

import re
from pathlib import Path

import jax
import numpy as np
import scipy.stats
from jax.flatten_util import ravel_pytree

from sciddm.config import validate
from sciddm.model import Model, load
from sciddm.observed_order import observed_order
from sciddm.rewards.reward import reward_potential
from sciddm.tasks.base import Problem, draw_picture
from sciddm.train import fit
from sciddm.train.checkpoint import Checkpoints


def check_domain(config, folder) -> Model:
    """Train two steps, go on for two, and check data, rewards, samples and every task of the domain. A minute for a small config.

    Args: config: as small as you can; its data are made in it. folder: an empty one, for the run.
    Returns: the model. Raises: AssertionError that says what the domain did not do; UserError of a config that is wrong.
    """
    model = check_training(config, Path(folder))
    x = check_data(model)
    check_rewards(model, x)
    check_samples(model, Path(folder))
    for name in model.domain.tasks:
        check_task(model, name)
        if model.domain.tasks[name].takes != "nothing":
            check_given(model, name, Path(folder) / f"given-{name}")
    return model


def check_training(config, folder: Path) -> Model:
    """A run of two steps, which goes on where it stopped and is loaded again."""
    validate(config)
    config.checkpoint.every, config.training.wall_minutes = 2, None
    for steps in (2, 4):
        config.training.steps = steps
        done = int(fit(config, folder / "run", progress=False).step)
        assert done == steps, f"the run stopped at step {done}, expected {steps}"
    steps = Checkpoints(folder / "run", read_only=True).steps()
    assert steps == [4, 2], f"checkpoints of steps {steps}, expected [4, 2]"
    return load(folder / "run")


def check_data(model: Model):
    """Training data have the shape of `example`, unit scale when normalised, and come back. Returns (N, ...) of them, physical."""
    domain, data = model.domain, model.domain.dataset("train")
    elements = [data[i]["x"] for i in range(0, len(data), max(len(data) // 128, 1))]
    shapes, expected = _shapes(elements[0]), jax.tree.map(lambda leaf: leaf.shape, domain.example)
    assert shapes == expected, f"an element of the data has shapes {shapes}, expected {expected}, those of `example`"
    assert len(domain.dataset("test")), "the test split is empty"
    x = jax.tree.map(lambda *leaves: np.stack(leaves), *elements)
    normal = domain.normalizer.normalize(x)
    _close(domain.normalizer.denormalize(normal), x, "what is normalised and denormalised")
    for leaf in jax.tree.leaves(normal):
        mean, std = float(leaf.mean()), float(leaf.std())
        assert abs(mean) < 0.6 and 0.5 < std < 2.0, (
            f"normalised data have mean {mean:.3g} and standard deviation {std:.3g}, expected 0, 1"
        )
    stored = type(domain.normalizer).from_json(domain.normalizer.to_json(), domain.example)
    _close(stored.mean, domain.normalizer.mean, "the mean of a normalizer that went through JSON")
    return x


def check_rewards(model: Model, x) -> None:
    """Every reward has units, another reward beside it, finite values, and a finite gradient where it says that it has one."""
    rewards, few = model.domain.rewards, jax.tree.map(lambda leaf: leaf[:6], x)
    for name, reward in rewards.items():
        assert reward.units, f"reward {name!r} has no units; '1' where it has none"
        assert reward.held_out != name and reward.held_out in rewards, (
            f"reward {name!r}: held_out = {reward.held_out!r} is no other reward"
        )
    values = jax.jit(lambda x: {name: reward.function(x) for name, reward in rewards.items()})(few)
    potentials = {name: reward_potential(model.domain, name) for name in rewards}
    slopes = jax.jit(lambda z: {name: jax.grad(lambda z, p=p: p(z, 0.0).sum())(z) for name, p in potentials.items()})(
        model.normalizer.normalize(few)
    )
    for name, reward in rewards.items():
        assert values[name].shape == (len(jax.tree.leaves(few)[0]),), (
            f"reward {name!r} has values of shape {values[name].shape}, expected one a sample"
        )
        assert np.isfinite(values[name]).all(), f"reward {name!r} is {values[name]} on data"
        steepest = max(float(np.abs(leaf).max()) for leaf in jax.tree.leaves(slopes[name]))
        assert np.isfinite(steepest), f"reward {name!r} has a gradient that is not finite"
        assert (steepest > 0) == reward.differentiable, (
            f"reward {name!r}: differentiable = {reward.differentiable}, its gradient is {steepest:g}"
        )


def check_samples(model: Model, folder: Path) -> None:
    """Samples have the right shape, go through the native form and back, are saved, drawn and scored."""
    import matplotlib.pyplot as plt

    domain = model.domain
    data = [domain.dataset("test")[i]["x"] for i in range(min(len(domain.dataset("test")), 5))]
    known = jax.tree.map(lambda *leaves: np.stack(leaves), *data)
    back = domain.from_native(domain.to_native(known))
    assert _shapes(back) == _shapes(known), f"data through `to_native` and `from_native` have shapes {_shapes(back)}, not {_shapes(known)}"
    for a, b in zip(jax.tree.leaves(back), jax.tree.leaves(known), strict=True):
        off, scale = np.sqrt(np.nanmean(np.square(np.asarray(a) - b))), np.sqrt(np.nanmean(np.square(b)))
        assert off <= 0.05 * scale, f"data through `to_native` and `from_native` are off by {off:.3g} at a scale of {scale:.3g}"
    native = model.sample(0, 5)
    x = domain.from_native(native)
    shapes, expected = _shapes(x), jax.tree.map(lambda leaf: (5, *leaf.shape), domain.example)
    assert shapes == expected, (
        f"samples through `to_native` and `from_native` have shapes {shapes}, expected {expected}"
    )
    path = folder / f"samples{domain.suffix}"
    domain.save(native, path)
    assert path.exists(), f"`save` wrote nothing at {path}"
    check_picture(domain.plot(native), "")
    plt.close("all")
    for name, value in domain.metrics(x, x).items():
        assert isinstance(value, float), f"metric {name!r} is a {type(value).__name__}, expected a float"


def check_task(model: Model, name: str) -> None:
    """A task makes a problem, two members of the truth's shape, scores, classical answers and a picture."""
    import matplotlib.pyplot as plt

    assert name in model.domain.tasks, f"there is no task {name!r}; the run has {sorted(model.domain.tasks)}, see config.tasks"
    task, problem = model.domain.tasks[name], model.problem(name)
    assert isinstance(problem, Problem), f"task {name!r}: `problem` gives a {type(problem).__name__}, expected a sciddm.Problem"
    members = model.solve(1, name, problem, 2, steps=3, progress=False)
    shape = _shapes(problem.truth)  # of the example, unless the task's answers are longer or wider
    expected = jax.tree.map(lambda leaf: (2, *leaf.shape), problem.truth)
    assert _shapes(members) == expected, (
        f"task {name!r}: two members have shapes {_shapes(members)}, expected {expected}"
    )
    scores = task.metrics(members, problem)
    assert isinstance(scores, dict) and scores, f"task {name!r}: `metrics` gives {scores!r}, expected name -> number"
    answers = task.baseline(problem)
    for method, answer in {**task.controls(model, jax.random.key(1), problem, 2), **answers}.items():
        fits = _shapes(answer) == shape or jax.tree.map(lambda leaf: leaf.shape[1:], answer) == shape
        assert fits, (
            f"task {name!r}: the answer {method!r} has shapes {_shapes(answer)}, expected {shape}, or an ensemble of such"
        )
    check_picture(draw_picture(task, members, problem, answers), f"task {name!r}: ")
    plt.close("all")


def check_given(model: Model, name: str, folder: Path) -> Problem:
    """A task takes what a user brings: the problem of an example, written as a user would bring it, is made again without a truth, with
    the same observation and cond, answered, drawn and saved. Returns the problem."""
    import matplotlib.pyplot as plt

    task, problem = model.domain.tasks[name], model.problem(name)
    assert task.takes != "nothing", f"task {name!r}: `takes` does not say what --given takes"
    folder.mkdir(parents=True, exist_ok=True)
    brought = model.problem(name, given=[str(one) for one in task.write_given(problem, folder)])
    assert brought.truth is None or not any(np.isfinite(leaf).all() for leaf in jax.tree.leaves(brought.truth)), (
        f"task {name!r}: a problem that a user brought has a truth"
    )
    for what in ("observation", "cond"):
        there, back = (jax.tree.leaves(getattr(one, what)) for one in (problem, brought))
        assert len(there) == len(back), f"task {name!r}: its {what} is another one when a user brings it"
        for a, b in zip(there, back, strict=True):
            _close(b, a, f"task {name!r}: the {what} of what a user brought") if hasattr(a, "shape") else None
    members = model.solve(1, name, brought, 2, steps=3, progress=False)
    native = task.to_native(members, brought)
    path = folder / f"answer{model.domain.suffix}"
    model.domain.save(model.domain.signed(native, {"sciddm_step": model.step}), path)
    assert path.exists(), f"task {name!r}: the answer to what a user brought is not saved"
    quantities = model.domain.quantities(native)
    assert quantities.sizes.get("member") == 2, f"task {name!r}: `quantities` has sizes {dict(quantities.sizes)}, expected two members"
    check_picture(draw_picture(task, members, brought, {}), f"task {name!r}, of what a user brought: ")
    plt.close("all")
    return brought


def check_picture(figure, what: str = "") -> None:
    """Every map has a colour bar, its own or that of a map in the same colours, with a unit in brackets, "[1]" where there is none; all
    axes that are shown have labels, their own or those of other axes in the same row, column or range. what: begins the messages."""
    import matplotlib.pyplot as plt
    from matplotlib.collections import PathCollection, QuadMesh
    from matplotlib.image import AxesImage

    assert isinstance(figure, plt.Figure), f"{what}`plot` gives no matplotlib figure"
    shown = [ax for ax in figure.axes if ax.axison and ax.has_data() and ax.get_label() != "<colorbar>"]
    maps = [artist for ax in shown for artist in ax.get_children() if isinstance(artist, (AxesImage, QuadMesh, PathCollection))]
    maps = [one for one in maps if one.get_array() is not None and np.ndim(one.get_array()) < 3]  # three: colours and no values
    colours = lambda one: (one.cmap.name, one.norm.vmin, one.norm.vmax)  # noqa: E731
    bars = {colours(one): one.colorbar.ax for one in maps if one.colorbar is not None}
    for one in maps:
        assert colours(one) in bars, f"{what}a map of {one.axes.get_title()!r} has no colour bar"
    for ax in bars.values():
        label = ax.get_ylabel() or ax.get_xlabel()
        expected = "such as 'pressure [Pa]', [1] where it has none"
        assert re.search(r"\[.+\]", label), f"{what}the colour bar {label!r} has no unit; expected {expected}"
    for ax in shown:
        for direction, lines in (("x", "colspan"), ("y", "rowspan")):

            def place(one, direction=direction, lines=lines):
                spec = one.get_subplotspec()
                return getattr(spec, lines) if spec else None, getattr(one, f"get_{direction}lim")()

            beside = [ax, *(one for one in shown if any(a == b is not None for a, b in zip(place(one), place(ax), strict=True)))]
            there = any(getattr(one, f"get_{direction}label")() for one in beside)
            assert there, f"{what}axes {ax.get_title()!r} have no {direction} label"


def check_noise(law, like, draws: int = 20000):
    """A noise law against its own covariance written out densely: draws, precision, projection, density and dimension.

    Args: like: one x of zeros, of a few dozen entries. In double precision where jax is in it (`jax.enable_x64(True)`), which it should be.
    Returns: the covariance, (d, d).
    """
    flat, unravel = ravel_pytree(like)
    ravel = lambda x: ravel_pytree(x)[0]  # noqa: E731

    @jax.jit
    def ask(key):
        eps = jax.vmap(lambda k: law.sample(k, like))(jax.random.split(key, draws))
        some = jax.tree.map(lambda leaf: leaf[:3], eps)
        dense = [
            jax.vmap(lambda row, m=method: ravel(m(unravel(row))))(jax.numpy.eye(flat.size))
            for method in (law.covariance, law.precision, law.project)
        ]
        facts = [jax.vmap(method)(some) for method in (law.log_prob, law.dimension)]
        return jax.vmap(ravel)(eps), dense, facts

    eps, (sigma, inverse, project), (log_prob, dimension) = jax.tree.map(np.asarray, ask(jax.random.key(0)))
    np.testing.assert_allclose(sigma, sigma.T, atol=1e-12, err_msg="the covariance is not symmetric")
    # entries of an empirical covariance have variance (S_ii S_jj + S_ij^2) / draws
    error = np.sqrt((np.outer(np.diag(sigma), np.diag(sigma)) + sigma**2) / draws)
    assert np.all(np.abs(eps.T @ eps / draws - sigma) <= 5 * error + 1e-12), (
        "draws have another covariance than `covariance` says"
    )
    assert np.all(np.abs(eps.mean(0)) <= 5 * np.sqrt(np.diag(sigma) / draws) + 1e-12), "draws have a mean other than 0"
    pseudo_inverse = np.linalg.pinv(sigma, rcond=1e-9, hermitian=True)
    most = np.abs(pseudo_inverse).max()
    np.testing.assert_allclose(
        inverse, pseudo_inverse, atol=3e-6 * most, err_msg="`precision` is no pseudo-inverse of `covariance`"
    )
    np.testing.assert_allclose(
        project, sigma @ pseudo_inverse, atol=1e-8, err_msg="`project` does not project on the support"
    )
    np.testing.assert_allclose(project @ project, project, atol=1e-8, err_msg="`project` is no projection")
    np.testing.assert_allclose(eps[:3] @ project, eps[:3], atol=1e-8, err_msg="draws lie off the support")
    exact = scipy.stats.multivariate_normal(np.zeros(flat.size), sigma, allow_singular=True)
    np.testing.assert_allclose(log_prob, exact.logpdf(eps[:3]), rtol=1e-8, err_msg="`log_prob` is not the density")
    np.testing.assert_allclose(
        dimension, np.linalg.matrix_rank(sigma, 1e-9), err_msg="`dimension` is not the rank of the covariance"
    )
    return sigma


def check_solver(solver, order: float, within: float = 0.3) -> float:
    """That a solver converges at the order it claims, on a path or, if it draws noise, in law. Returns the order observed."""
    observed = observed_order(solver() if isinstance(solver, type) else solver)
    assert abs(observed - order) <= within, f"the order observed is {observed:.2f}, expected {order} within {within}"
    return observed


def _shapes(tree):
    return jax.tree.map(np.shape, tree)


def _close(found, expected, what: str) -> None:
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        a, b = (np.asarray(leaf, np.float64) for leaf in (a, b))  # of masks too
        gap = float(np.max(np.abs(a - b), initial=0.0))
        assert gap <= 1e-5 * max(float(np.max(np.abs(b), initial=0.0)), 1.0), f"{what} is off by {gap:g}"
