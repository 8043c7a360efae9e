import shutil

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sciddm as sd
from domains.molecules import regressor


@pytest.fixture(scope="module")
def model(small_run, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:  # the same network, smaller
        patch.setattr(regressor, "HIDDEN", 32)
        patch.setattr(regressor, "LAYERS", 2)
        yield sd.load(shutil.copytree(small_run("molecules"), tmp_path_factory.mktemp("regressor") / "run"))


call = eqx.filter_jit(lambda function, *inputs: function(*inputs))


@pytest.mark.slow
def test_it_learns_at_low_noise_knows_its_spread_and_comes_back_from_the_disk(model):
    trained = regressor.fit(model, steps=250, batch_size=32, progress=False)
    domain = model.domain
    packed, values = domain.packed("train")
    x = jax.tree.map(jnp.asarray, domain.normalizer.normalize(domain.layout.expand(packed)))
    mask = jnp.asarray(domain.layout.mask_of(x))
    low, high = (trained.process.time(level) for level in (8.0, -8.0))
    mean, std = call(trained.both, x, low, mask)
    error = float(np.sqrt(np.mean((mean - values) ** 2)))
    assert error < 0.6 * values.std() and 0.4 < float(std[0]) / error < 2.5
    noise = jax.tree.map(lambda leaf: leaf + trained.process.sigma(high) * leaf.std(), x)
    assert float(call(trained.both, noise, high, mask)[1][0]) > 1.3 * float(std[0])
    again = regressor.load(model)
    np.testing.assert_array_equal(call(again.both, x, low, mask)[0], mean)
    one = jax.tree.map(lambda leaf: leaf[:1], x)
    np.testing.assert_allclose(call(regressor.Spread(again, mask[:1], one), low), std, rtol=1e-6)
    np.testing.assert_allclose(call(regressor.Mean(again, mask[:1]), one, low), mean[:1], rtol=1e-4, atol=1e-5)


def test_the_task_steers_by_it(model):
    if not (model.workdir / regressor.FILE).exists():
        regressor.fit(model, steps=2, batch_size=4, progress=False)
    changed = sd.load(model.workdir, changes={"tasks.property.method": "regressor", "tasks.property.scale": 50.0})
    task, problem = changed.domain.tasks["property"], changed.problem("property")
    ours = task.solve(changed, jax.random.key(0), problem, 4, steps=4)
    plain = task.controls(changed, jax.random.key(0), problem, 4, steps=4)["unguided"]
    assert float(np.abs(ours["positions"] - plain["positions"]).max()) > 1e-3
    digest = task.depends(changed)
    (model.workdir / regressor.FILE).write_bytes((model.workdir / regressor.FILE).read_bytes() + b"x")
    assert digest and task.depends(changed) != digest and not changed.domain.tasks["generate"].depends(changed)


def test_a_missing_or_damaged_one_is_told_with_the_way_out(model, tmp_path):
    elsewhere = type(model)(model.denoiser, model.domain, model.config, model.step, tmp_path)
    with pytest.raises(sd.UserError, match="python -m domains.molecules.regressor --workdir"):
        regressor.load(elsewhere)
    (tmp_path / regressor.FILE).write_bytes(b"no arrays")
    with pytest.raises(sd.UserError, match="can't be read .*delete it"):
        regressor.load(elsewhere)


def test_padding_changes_no_prediction(model):
    blank = regressor.fresh(model)
    domain = model.domain
    few = domain.molecules("train").select(np.arange(4))
    values = []
    for size in (domain.size, domain.size + 3):
        x = jax.tree.map(jnp.asarray, domain.normalizer.normalize(domain.layout.expand(domain.layout.pack(few, size))))
        values.append(call(blank.both, x, 0.3, jnp.asarray(domain.layout.mask_of(x)))[0])
    np.testing.assert_allclose(values[1], values[0], atol=1e-5)
