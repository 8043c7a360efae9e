import json
import math
import shutil

import jax
import numpy as np
import pytest
from toy_domain import Net, Toy, toy_config

from sciddm.errors import UserError
from sciddm.train import fit, loop
from sciddm.train.checkpoint import Checkpoints
from sciddm.train.data import Batches
from sciddm.train.state import initial_state, learning_rate, make_denoiser, make_train_step


def test_the_nan_guard_names_step_and_batch_and_keeps_the_last_good_checkpoint(tmp_path):
    config = toy_config(steps=200)
    config.data.nan_at, config.denoiser.sigma_data = 17, 1.0
    single = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    batches = Batches(Toy(toy_config()).dataset("train"), config.training.batch_size, config.seed, single)
    first = next(step for step in range(200) if 17 in batches.indices(step))
    with pytest.raises(UserError, match=f"not finite at step {first}, batch indices .*17"):
        fit(config, tmp_path, progress=False)
    steps = Checkpoints(tmp_path, read_only=True).steps()
    assert all(step <= first for step in steps)


def test_a_sample_that_is_not_finite_is_found_before_training_where_it_can_be(tmp_path):
    config = toy_config()
    config.data.nan_at = 17
    with pytest.raises(UserError, match=r"training samples \[17\] are not finite"):
        fit(config, tmp_path, progress=False)


def test_a_batch_holds_the_elements_it_names_and_an_epoch_each_one_once():
    domain, single = Toy(toy_config()), jax.sharding.SingleDeviceSharding(jax.devices()[0])
    batches = Batches(domain.dataset("train"), 16, 5, single)
    stream = batches.from_step(3)
    for step in (3, 4):
        np.testing.assert_array_equal(next(stream)["x"], domain.points[batches.indices(step)])
    epoch = sum((batches.indices(step) for step in range(16)), [])
    assert sorted(epoch) == list(range(256)) and epoch != list(range(256))


def test_training_compiles_one_program_and_lowers_the_loss(tmp_path, monkeypatch):
    traces, make = [], loop.make_train_step

    def counted(*arguments):
        step = make(*arguments)

        def traced(*inputs):
            traces.append(1)
            return step(*inputs)

        return traced

    monkeypatch.setattr(loop, "make_train_step", counted)
    config = toy_config(steps=400, learning_rate=5e-3)
    config.checkpoint.every = 200
    fit(config, tmp_path, progress=False)
    assert len(traces) == 1
    losses = [json.loads(line)["loss"] for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert len(losses) == 40 and np.mean(losses[-5:]) < 0.9 * np.mean(losses[:2])
    assert list((tmp_path / "tensorboard").iterdir())


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run of a hundred steps with all its checkpoints, one every 20."""
    config, workdir = toy_config(steps=100), tmp_path_factory.mktemp("whole")
    config.checkpoint.keep = 5
    fit(config, workdir, progress=False)
    return workdir


@pytest.mark.parametrize("every", [20, 25])
def test_metrics_of_a_resumed_run_are_those_of_an_unbroken_one(whole, tmp_path, every):
    config, broken = toy_config(steps=100), tmp_path / "broken"
    config.checkpoint.update({"every": every, "keep": 5})
    if every == 20:
        shutil.copytree(whole, broken)
    else:
        fit(config, broken, progress=False)
    gone = [step for step in Checkpoints(broken, read_only=True).steps() if step > 50]
    for step in gone:  # as a kill would leave it: metrics further than the checkpoint, the last line cut
        shutil.rmtree(broken / "checkpoints" / str(step))
    lines = (broken / "metrics.jsonl").read_text().splitlines()
    (broken / "metrics.jsonl").write_text("\n".join(lines[:7]) + '\n{"step": 80, "lo')
    fit(config, broken, progress=False)
    assert (broken / "metrics.jsonl").read_text() == (whole / "metrics.jsonl").read_text()


def test_learning_rate_warms_up_and_falls_to_zero_at_the_end_of_the_budget():
    config = toy_config(warmup=10, learning_rate=2.0)
    assert float(learning_rate(config, 0, 0.0)) == pytest.approx(0.2)
    assert float(learning_rate(config, 50, 0.0)) == pytest.approx(2.0)
    assert float(learning_rate(config, 50, 0.5)) == pytest.approx(1.0)
    assert float(learning_rate(config, 50, 1.0)) == pytest.approx(0.0, abs=1e-6)


def test_a_wall_clock_budget_ends_the_run_and_counts_earlier_starts(tmp_path):
    config = toy_config(steps=10**7, wall_minutes=0.02)
    state = fit(config, tmp_path, progress=False)
    assert 0 < int(state.step) < 10**7
    budget = loop.Budget(config, elapsed=0.6)
    assert 0.5 <= budget.progress(0) < 0.6 and math.isclose(loop.Budget(toy_config(steps=10), 9.9).progress(5), 0.5)
    again = fit(config, tmp_path, progress=False)
    assert int(again.step) == int(state.step)


def test_conditioning_dropout_hides_conditions_at_its_rate():
    seen = []

    class Watching(Net):
        def __call__(self, x, noise_level, cond=None):
            if cond is not None:
                jax.debug.callback(lambda keep: seen.append(np.asarray(keep)), cond["keep"])
            return super().__call__(x, noise_level, cond)

    config = toy_config(cond_dropout=0.25)
    domain = Toy(config)
    domain.networks = {"net": Watching}
    denoiser = loop.make_denoiser(config, domain, 1.0)
    step = loop.make_train_step(config, domain, denoiser)
    state = loop.initial_state(config, denoiser)
    batch = {"x": np.zeros((4000, 2), np.float32), "cond": {"embedding": np.zeros((4000, 1), np.float32)}}
    jax.jit(step)(state, batch, np.float32(0.0))
    jax.effects_barrier()
    assert 1 - np.concatenate(seen).mean() == pytest.approx(0.25, abs=0.03)


def test_a_checkout_that_is_not_installed_trains_and_says_its_version(tmp_path, monkeypatch):
    def nothing(name):
        raise loop.metadata.PackageNotFoundError(name)

    installed = loop.versions()
    monkeypatch.setattr(loop.metadata, "version", nothing)
    fit(toy_config(steps=1), tmp_path, progress=False)
    meta = Checkpoints(tmp_path, read_only=True).meta()
    assert meta["versions"]["sciddm"] == installed["sciddm"] and meta["versions"]["jax"] == "unknown"


def test_the_average_of_the_weights_decays_as_configured_after_a_warm_up():
    """ema_n = d ema + (1 - d) params, d = min(decay, (1 + n) / (10 + n))."""
    config = toy_config(ema=0.3)
    domain = Toy(config)
    denoiser = make_denoiser(config, domain, 1.0)
    step, state = jax.jit(make_train_step(config, domain, denoiser)), initial_state(config, denoiser)
    for n in range(6):
        after, _ = step(state, {"x": domain.points[:8]}, 0.0)
        decay = min(0.3, (1 + n) / (10 + n))
        for old, new, ema in zip(*map(jax.tree.leaves, (state.ema, after.params, after.ema)), strict=True):
            np.testing.assert_allclose(ema, decay * old + (1.0 - decay) * new, rtol=1e-5, atol=1e-7)
        state = after


def test_a_batch_larger_than_the_data_is_refused_where_the_data_alone_can_say_so(tmp_path):
    config = toy_config(batch_size=500)
    with pytest.raises(UserError, match="config.training.batch_size = 500: there are 256 training samples"):
        fit(config, tmp_path / "run", progress=False)
    assert not list((tmp_path / "run").rglob("checkpoints/*"))


def test_two_at_once_do_not_train_in_one_workdir(tmp_path):
    with loop.alone(tmp_path):
        with pytest.raises(UserError, match="another process trains there; wait for it"):
            fit(toy_config(), tmp_path, progress=False)
        assert [path.name for path in tmp_path.iterdir()] == [".lock"]  # the refused one touches nothing
    with loop.alone(tmp_path), pytest.raises(KeyError), loop.alone(tmp_path / "other"):  # given back after an error, too
        raise KeyError
    with loop.alone(tmp_path / "other"):
        pass
