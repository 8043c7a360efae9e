"""Statistics in one pass over the training frames, which goes on where it was stopped."""

import numpy as np
import pytest
import xarray as xr
from fields_domains import source_of
from small_fields import small_dataset

from domains.fields import source as sources
from domains.fields import statistics
from sciddm.errors import UserError


@pytest.fixture
def source(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "BLOCK", 1)  # a block a sample
    return source_of(small_dataset(samples=20), tmp_path, 0.2, memory=0.0, window=4)


def trained(source):
    return np.stack([source.fields.read(name) for name in ("c", "T")], -1).transpose(1, 2, 0, 3, 4)[:16].astype(float)


def test_mean_and_spread_are_those_of_the_training_frames_alone_before_and_after_a_transform(source, tmp_path):
    x = trained(source)
    found = statistics.measure(source, ["identity", "identity"], tmp_path, spectrum=False)
    np.testing.assert_allclose(found.mean, x.mean((0, 1, 2, 3)), rtol=1e-6)
    np.testing.assert_allclose(found.std, x.std((0, 1, 2, 3)), rtol=1e-5)
    np.testing.assert_allclose(found.scale, x.std((0, 1, 2, 3)), rtol=1e-5)
    np.testing.assert_allclose(found.mean_field, x.mean((0, 1)), rtol=1e-5)
    np.testing.assert_allclose(found.std_field, x.std((0, 1)), rtol=1e-4)
    np.testing.assert_allclose([found.least, found.most], [x.min((0, 1, 2, 3)), x.max((0, 1, 2, 3))])
    z = (x - x.mean((0, 1, 2, 3))) / x.std((0, 1, 2, 3))
    np.testing.assert_allclose(found.skewness, (z**3).mean((0, 1, 2, 3)), atol=1e-4)
    again = statistics.measure(source, ["log", "asinh(scale=2.0)"], tmp_path, spectrum=False)
    y = np.stack([np.log(x[..., 0]), np.arcsinh(x[..., 1] / 2)], -1)
    np.testing.assert_allclose([again.mean, again.std], [y.mean((0, 1, 2, 3)), y.std((0, 1, 2, 3))], rtol=1e-5)


def test_the_pass_goes_on_where_it_was_stopped_and_is_not_made_twice(source, tmp_path, monkeypatch):
    whole = statistics.measure(source, ["identity"] * 2, tmp_path / "a", spectrum=True)
    monkeypatch.setattr(statistics, "SAVED_EVERY", 0.0)
    read, calls = sources.Source._read, []

    def counting(self, samples, times):
        calls.append(samples.start)
        if len(calls) == 7:
            raise KeyboardInterrupt
        return read(self, samples, times)

    monkeypatch.setattr(sources.Source, "_read", counting)
    with pytest.raises(KeyboardInterrupt):
        statistics.measure(source, ["identity"] * 2, tmp_path / "b", spectrum=True)
    calls.clear()
    calls.extend(range(100, 110))
    found = statistics.measure(source, ["identity"] * 2, tmp_path / "b", spectrum=True)
    assert calls[10:] == list(range(6, 20))  # the six before are not read again
    for name in vars(whole):
        np.testing.assert_array_equal(getattr(found, name), getattr(whole, name))
    del calls[:]
    calls.extend(range(100, 110))
    statistics.measure(source, ["identity"] * 2, tmp_path / "b", spectrum=True)
    assert len(calls) == 10


def test_a_file_that_changed_is_measured_anew(tmp_path):
    first = source_of(small_dataset(samples=20), tmp_path, 0.2)
    before = statistics.measure(first, ["identity"] * 2, tmp_path, spectrum=False)
    (tmp_path / "own.nc").unlink()
    changed = source_of(small_dataset(samples=20, seed=1), tmp_path, 0.2)
    assert not np.allclose(before.mean, statistics.measure(changed, ["identity"] * 2, tmp_path, spectrum=False).mean)


def test_what_is_missing_is_left_out_and_counted(tmp_path):
    dataset = small_dataset(samples=20)
    dataset["c"][0, :, :, 0] = np.nan  # always: a mask
    dataset["T"][3, 5, 1] = np.nan  # a row, once
    found = statistics.measure(source_of(dataset, tmp_path, 0.2), ["identity"] * 2, tmp_path, spectrum=False)
    assert (found.count[0, 0, 0] == 0) and found.count[3, 0, 1] == 16 * 6 - 1
    assert found.missing[5, 1] == pytest.approx((1 + 10) / 120) and found.missing[5, 0] == pytest.approx(1 / 120)
    assert np.isfinite(found.mean).all() and np.isfinite(found.mean_field).all()


def test_the_spectrum_is_that_of_the_fields(tmp_path):
    x = np.arange(16) / 16
    phase = np.random.default_rng(0).uniform(0, 2 * np.pi, (40, 1))
    waves = xr.Dataset({"u": (("sample", "x"), np.cos(2 * np.pi * 3 * x + phase))})
    found = statistics.measure(source_of(waves, tmp_path, periodic=("x",)), ["identity"], tmp_path, spectrum=True)
    power = found.power[:, 0] / found.spectra
    assert set(np.flatnonzero(power > 1e-6 * power.max())) == {3, 13}
    np.testing.assert_allclose(power.sum() / 16, 0.5, rtol=1e-5)  # Parseval: the variance


@pytest.mark.parametrize(
    "change, transforms, said",
    [
        (lambda c: c * 0 + 1, ["identity"] * 2, "'c' is constant"),
        (lambda c: c * np.nan, ["identity"] * 2, "'c' has no value"),
        (lambda c: c.where(c.sample != 4, -1), ["log"] * 2, r"'c' is -1 at sample 4, time 0.*log\(offset"),
        (lambda c: c.where(c.time != 20, np.inf), ["identity"] * 2, "inf"),
    ],
)
def test_values_that_can_t_be_trained_on_are_named(change, transforms, said, tmp_path):
    dataset = small_dataset(samples=20).assign_coords(sample=np.arange(20))
    dataset["c"] = change(dataset["c"]).transpose(*dataset["c"].dims)
    with pytest.raises(UserError, match=said):
        statistics.measure(source_of(dataset, tmp_path, 0.2), transforms, tmp_path, spectrum=False)
