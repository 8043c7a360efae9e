"""A run that begins with another one: its weights, its units or new ones, and nothing that does not fit."""

import jax
import numpy as np
import pytest
from toy_domain import toy_config

import sciddm as sd
from sciddm.errors import UserError
from sciddm.train import fit
from sciddm.train.checkpoint import Checkpoints
from sciddm.train.origin import check_same_origin


def shorter(**training):
    """Other data than those of `toy_run`: half as many of its points, which are drawn otherwise."""
    config = toy_config(**{"steps": 20, "held_out": 32, **training})
    config.data.count = 128
    return config


@pytest.mark.parametrize("statistics", ["kept", "measured"])
def test_a_run_begins_with_the_averaged_weights_of_another_in_its_units_or_new_ones(once, tmp_path, statistics):
    first, fresh = toy_config(steps=3, held_out=0), shorter(steps=3, held_out=0, learning_rate=1e-30)  # which moves no weight
    first.domain = fresh.domain = "toy_domain:Measured"
    run = once("measured toy", lambda folder: fit(first, folder, progress=False))
    before = sd.load(run)
    fit(fresh, tmp_path, init_from=run, statistics=statistics, progress=False)
    after = sd.load(tmp_path)
    for ours, theirs in zip(*(jax.tree.leaves(model.denoiser.network.params) for model in (after, before)), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    own = sd.get_domain(fresh).normalizer
    expected = before.normalizer if statistics == "kept" else own
    np.testing.assert_allclose(after.normalizer.mean, expected.mean, rtol=1e-6)
    np.testing.assert_allclose(after.normalizer.std, expected.std, rtol=1e-6)
    assert not np.allclose(own.mean, before.normalizer.mean, rtol=1e-6)  # else the two could not be told apart
    assert (after.about["sigma_data"] == before.about["sigma_data"]) == (statistics == "kept")
    assert after.about["init_from"] | {"weights": ""} == {"path": str(run), "step": 3, "weights": "", "statistics": statistics}


def test_fine_tuning_begins_where_the_other_run_ended_and_goes_on_as_the_same_command_says(toy_run, tmp_path):
    losses = {}
    for name, start in (("tuned", toy_run), ("fresh", None)):
        fit(shorter(learning_rate=1e-4), tmp_path / name, init_from=start, progress=False)
        losses[name] = Checkpoints(tmp_path / name, read_only=True).meta()["held_out"][0]["loss"]
    assert losses["tuned"] < losses["fresh"]
    tuned = tmp_path / "tuned"
    assert int(fit(shorter(steps=30), tuned, init_from=toy_run, progress=False).step) == 30
    assert Checkpoints(tuned, read_only=True).meta()["init_from"]["step"] == 60
    with pytest.raises(UserError, match="holds a run that began with .*, statistics kept; leave --init-from out"):
        fit(shorter(steps=30), tuned, init_from=toy_run, statistics="measured", progress=False)
    with pytest.raises(UserError, match="holds a run that began with no other; leave --init-from out"):
        fit(shorter(steps=30), tmp_path / "fresh", init_from=toy_run, progress=False)


def test_a_run_goes_on_from_wherever_the_other_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    stored = {"init_from": {"path": "other", "statistics": "kept"}}
    for path in (tmp_path / "other", "other", "./run/../other"):
        check_same_origin(path, "kept", stored, "run")
    for path, statistics in (("another", "kept"), ("other", "measured")):
        with pytest.raises(UserError, match="holds a run that began with other, statistics kept; leave --init-from out"):
            check_same_origin(path, statistics, stored, "run")


def test_what_does_not_fit_is_refused_by_name(toy_run, tmp_path):
    config = shorter()
    config.network.width = 16
    with pytest.raises(UserError, match="was trained with config.network.width = 32, here it is 16; set --config.network.width=32"):
        fit(config, tmp_path / "a", init_from=toy_run, progress=False)
    with pytest.raises(UserError, match="holds no checkpoints"):
        fit(shorter(), tmp_path / "b", init_from=tmp_path, progress=False)
    config = shorter()
    config.denoiser.prediction = "v"
    with pytest.raises(UserError, match="its network predicts 'edm'; set --config.denoiser.prediction=edm"):
        fit(config, tmp_path / "c", init_from=toy_run, progress=False)


def test_kept_statistics_of_fields_hold_for_what_is_measured_of_the_new_ones_too(small_model):
    """mean_field is in normalised units: with other statistics it must still be the same field."""
    from dataclasses import replace

    own = small_model("fields").normalizer
    other = replace(own, mean=own.mean + 0.5, std=own.std * 2.0)
    kept = own.with_statistics(other)
    physical = (one.denormalize(one.facts.mean_field[None]) for one in (own, kept))
    np.testing.assert_allclose(*physical, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(own.facts.std_field * own.std, kept.facts.std_field * kept.std, rtol=1e-5)
    with pytest.raises(ValueError, match="its transforms .* are not those of these data"):
        own.with_statistics(replace(other, transforms=("cbrt",) * len(other.transforms)))


def test_molecules_keep_the_kinds_of_atom_of_the_run_that_they_begin_with(small_model):
    from dataclasses import replace

    own = small_model("molecules").normalizer
    more = replace(own.layout, kinds=(*own.layout.kinds, 35))
    kept = own.with_statistics(replace(own, layout=more))
    assert kept.layout.kinds[-1] == 35 and kept.sizes is own.sizes
    with pytest.raises(ValueError, match=r"knows no atoms of the numbers \[35\]"):
        replace(own, layout=more).with_statistics(own)
