import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

import sciddm as sd
from sciddm.noise.spherical import legendre


def test_legendre_functions_are_scipys_and_stay_orthonormal_at_high_degree():
    sine, weights = np.polynomial.legendre.leggauss(130)
    table = legendre(120, sine)
    for l, m in ((0, 0), (1, 0), (1, 1), (4, 2), (9, 9), (12, 5)):
        norm = (2 * l + 1) / (4 * np.pi) * np.exp(scipy.special.gammaln(l - m + 1) - scipy.special.gammaln(l + m + 1))
        expected = (-1) ** m * np.sqrt(norm) * scipy.special.lpmv(m, l, sine)
        np.testing.assert_allclose(table[m, l], expected, atol=1e-10)
    gram = 2 * np.pi * np.einsum("mlp,p,mkp->mlk", table, weights, table)
    degrees = np.arange(121)
    np.testing.assert_allclose(gram, (degrees >= degrees[:, None])[:, :, None] * np.eye(121), atol=1e-9)


LATITUDES = {"cells": None, "given": [90.0, 60.0, 31.0, 0.0, -20.0, -48.0]}  # one with a pole


@pytest.mark.parametrize("nugget", [0.0, 0.05])
@pytest.mark.parametrize("latitudes", LATITUDES.values(), ids=LATITUDES)
def test_it_holds_the_contract_and_covariance_is_a_function_of_the_great_circle(latitudes, nugget, holds_the_contract):
    l_max, (rows, columns) = 3, (6, 8)
    power = np.array([1.0, 0.5, 0.3, 0.2])
    law = sd.Spherical(power, (rows, columns), latitudes=latitudes, nugget=nugget)
    sigma = holds_the_contract(law, jnp.zeros((rows, columns, 1)), draws=4000)
    assert float(law.dimension((rows, columns, 2))) == pytest.approx(
        2 * (rows * columns if nugget else (l_max + 1) ** 2)
    )

    degrees = -90 + 180 * (np.arange(rows) + 0.5) / rows if latitudes is None else latitudes
    lat, lon = np.meshgrid(np.radians(degrees), 2 * np.pi * np.arange(columns) / columns, indexing="ij")
    points = np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], -1).reshape(-1, 3)
    cosine, l = np.clip(points @ points.T, -1, 1), np.arange(l_max + 1)
    weights = (2 * l + 1) / (4 * np.pi) * power
    weights *= (1 - nugget) / weights.sum()
    exact = np.tensordot(weights, [scipy.special.eval_legendre(n, cosine) for n in l], 1) + nugget * np.eye(len(points))
    np.testing.assert_allclose(sigma, exact, atol=1e-10)
    np.testing.assert_allclose(np.diag(sigma), 1.0)


def test_power_law_has_its_slope_its_length_and_the_finest_degree_the_grid_resolves():
    law = sd.Spherical.power_law((20, 32), 3.0, 0.25)
    l = np.arange(16)
    power = np.asarray(law.angular_power)
    np.testing.assert_allclose(power / power[0], (1 + l * (l + 1) / 16) ** -1.5, rtol=1e-5)


def test_grids_and_spectra_that_do_not_fit_are_refused():
    for arguments, options, message in (
        ((np.ones(5), (8, 8)), {}, "too coarse for l_max = 4: needs 5 x 9"),
        (([-1.0, 2.0], (8, 8)), {}, "C_l >= 0"),
        (([1.0], (8, 8)), {"nugget": 1.0}, "nugget"),
        (([1.0], (2, 8)), {"latitudes": [0.0, 91.0]}, "latitudes"),
    ):
        with pytest.raises(ValueError, match=message):
            sd.Spherical(*arguments, **options)
