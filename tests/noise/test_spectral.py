import jax.numpy as jnp
import numpy as np
import pytest
import scipy.fft

import sciddm as sd
from sciddm.noise.spectral import frequencies


@pytest.mark.parametrize(
    ("grid", "periodic"), [((7,), True), ((6, 5), True), ((2, 3, 4), True), ((6, 5), False), ((2, 3, 4), False)]
)
def test_it_holds_the_contract_with_sigma_diagonal_in_its_transform(grid, periodic, holds_the_contract):
    law = sd.SpectralField.power_law(grid, 3.0, 2.0, nugget=0.01, periodic=periodic)
    sigma, size = holds_the_contract(law, jnp.zeros((*grid, 1)), draws=4000), np.prod(grid)
    waves = np.eye(size).reshape(size, *grid)
    axes = tuple(range(1, 1 + len(grid)))
    if periodic:
        transform = scipy.fft.fftn(waves, axes=axes, norm="ortho").reshape(size, size)
    else:
        transform = scipy.fft.dctn(waves, axes=axes, norm="ortho").reshape(size, size)
    exact = np.real(transform @ np.diag(np.ravel(law.spectrum)) @ transform.conj().T)
    np.testing.assert_allclose(sigma, exact, atol=1e-10)
    assert np.trace(sigma) / size == pytest.approx(1.0)
    if periodic:
        np.testing.assert_allclose(np.diag(sigma), 1.0)


def test_power_law_has_its_slope_its_length_and_its_nugget():
    k = frequencies((64, 32), spacing=(0.5, 1.0))
    assert k[1, 0] == pytest.approx(2 * np.pi / 32) and k[0, 1] == pytest.approx(2 * np.pi / 32)
    assert k[-1, 0] == k[1, 0] and k.max() == pytest.approx(np.hypot(2 * np.pi, np.pi))
    law = sd.SpectralField.power_law((64, 32), 4.0, 3.0, nugget=0.25, spacing=(0.5, 1.0))
    shape = (np.asarray(law.spectrum) - 0.25) / 0.75
    np.testing.assert_allclose(shape / shape[0, 0], (1 + (3 * k) ** 2) ** -2.0, atol=1e-5)
    # cosine waves lie twice as densely as Fourier waves
    np.testing.assert_allclose(frequencies(8, periodic=False), np.pi * np.arange(8) / 8)


def test_spectra_that_are_no_covariance_and_fields_that_do_not_fit_are_refused():
    for spectrum, message in (
        (np.ones((2, 2, 2, 2)), "1 to 3"), ([1.0, 0.0, 1.0], "positive"), ([1.0, 2.0, 3.0], r"S\(k\) = S\(-k\)"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            sd.SpectralField(spectrum)
    with pytest.raises(ValueError, match="positive, finite"), np.errstate(divide="ignore", invalid="ignore"):
        sd.SpectralField.isotropic(lambda k: k**-2.0, (8,))
    with pytest.raises(ValueError, match=r"acts on arrays \(..., 3, channels\)"):
        sd.SpectralField([1.0, 2.0, 2.0]).project(sd.SpectralField([1.0, 2.0, 2.0]).covariance(jnp.ones((4, 1))))
