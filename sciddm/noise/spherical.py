"""Spherical noise: an isotropic Gaussian random field on the sphere, on a longitude-latitude grid.

    Cov[eps(p), eps(q)] = sum_l (2l+1)/(4 pi) C_l P_l(cos angle(p, q)) + nugget [p = q],   variance 1 at every grid point

that is Sigma = Y diag(C) Y^T + nugget I with the real spherical harmonics Y up to l_max (Marinucci & Peccati 2011, ch. 5). On
equally spaced longitudes Y diag(C)^(1/2) splits by order m into a small Legendre block times cos m phi or sin m phi, so one
singular value decomposition a block, in float64 at construction, gives the exact eigenvectors V and eigenvalues of Sigma on
the grid: powers, log determinant and density are exact, and one product costs two small matrix products each way.

With nugget > 0, the default, Sigma has full rank: data need not be band limited. With nugget = 0 the support is the span of
the harmonics, of dimension (l_max + 1)^2 where all C_l > 0 and the grid resolves them.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from sciddm.arithmetic import as_structs
from sciddm.noise.coloured import Coloured, check_grid, on_leaves


class Spherical(Coloured):
    """Every leaf of x is (..., latitudes, longitudes, C); channels and leading axes are independent fields.

    Args:
        angular_power: (l_max + 1,) C_l >= 0, relative; scaled here to variance 1 - nugget.
        shape: (latitudes, longitudes). Longitudes are equally spaced around the circle.
        latitudes: in degrees, one a row; None: cell centres, -90 + 180 (i + 1/2) / n (their order doesn't matter to the law).
        nugget: share of the variance, in [0, 1), that is white.
    Raises: ValueError if C_l is negative or all 0, nugget or latitudes are out of range, or the grid is too coarse for l_max:
        it needs 2 l_max + 1 longitudes and l_max + 1 latitudes.
    """

    angular_power: jax.Array  # (L,), scaled
    values: jax.Array  # (M, J): eigenvalues without the nugget, 0 where a block has fewer
    meridional: jax.Array  # (M, J, latitudes); an eigenvector is meridional[m, j] x zonal[m]
    zonal: jax.Array  # (M, longitudes)
    nugget: jax.Array
    full_rank: bool = eqx.field(static=True)

    def __init__(self, angular_power, shape, *, latitudes=None, nugget: float = 1e-3):
        power, (rows, columns) = np.asarray(angular_power, np.float64), shape
        l_max = power.size - 1
        if power.ndim != 1 or not np.all(np.isfinite(power)) or np.any(power < 0) or not power.any():
            raise ValueError("angular_power: expected (l_max + 1,) finite C_l >= 0, not all 0")
        if not 0.0 <= nugget < 1.0:
            raise ValueError(f"nugget = {nugget}: expected a share of the variance in [0, 1)")
        if columns < 2 * l_max + 1 or rows < l_max + 1:
            raise ValueError(
                f"grid {tuple(shape)} is too coarse for l_max = {l_max}: needs {l_max + 1} x {2 * l_max + 1}"
            )
        degrees = (
            -90.0 + 180.0 * (np.arange(rows) + 0.5) / rows if latitudes is None else np.asarray(latitudes, np.float64)
        )
        if degrees.shape != (rows,) or np.any(np.abs(degrees) > 90.0):
            raise ValueError(f"latitudes: expected {rows} values in degrees within [-90, 90]")
        l = np.arange(l_max + 1)
        power = power * (1.0 - nugget) / np.sum((2 * l + 1) / (4 * np.pi) * power)

        # Rows of the zonal basis get norm 1; what cos m phi had (sin m phi has the same) goes into the Legendre block of order m.
        table = legendre(l_max, np.sin(np.radians(degrees)))
        phi, orders = 2 * np.pi * np.arange(columns) / columns, np.concatenate([l, l[1:]])  # sin 0 phi is none
        zonal = np.concatenate([np.cos(l[:, None] * phi), np.sin(l[1:, None] * phi)])
        norms = np.linalg.norm(zonal, axis=1, keepdims=True)
        blocks = table * np.sqrt(power)[:, None] * np.where(l > 0, np.sqrt(2.0), 1.0)[:, None, None]
        _, roots, meridional = np.linalg.svd(blocks * norms[l][:, :, None], full_matrices=False)
        roots, meridional = np.where(roots > 1e-7 * roots.max(), roots, 0.0)[orders], meridional[orders]

        keep = jnp.result_type(float)
        self.angular_power, self.values = jnp.asarray(power, keep), jnp.asarray(roots**2, keep)
        self.meridional, self.zonal = jnp.asarray(meridional, keep), jnp.asarray(zonal / norms, keep)
        self.nugget, self.full_rank = jnp.asarray(nugget, keep), nugget > 0

    @classmethod
    def power_law(cls, shape, slope: float, length: float, *, l_max=None, latitudes=None, nugget: float = 1e-3):
        """C_l ~ (1 + l (l+1) length^2)^(-slope/2): white on scales above `length`, in radians of arc, falling as l^-slope below.

        Args: l_max: None takes the largest that the grid resolves.
        """
        l = np.arange((min(shape[0] - 1, (shape[1] - 1) // 2) if l_max is None else l_max) + 1)
        power = (1.0 + l * (l + 1) * length**2) ** (-0.5 * slope)
        return cls(power, shape, latitudes=latitudes, nugget=nugget)

    @property
    def grid(self):
        """(latitudes, longitudes)."""
        return self.meridional.shape[-1], self.zonal.shape[-1]

    def project(self, x):
        return x if self.full_rank else self.power(x, 0.0)

    def dimension(self, like):
        size = jnp.asarray(sum(np.prod(leaf.shape) for leaf in jax.tree.leaves(as_structs(like))), self.values.dtype)
        return size if self.full_rank else size * (jnp.sum(self.values > 0) / np.prod(self.grid))

    def log_determinant(self, like):
        size = sum(np.prod(leaf.shape) for leaf in jax.tree.leaves(as_structs(like)))
        inside, known = self.values > 0, jnp.sum(self.values > 0)
        one = jnp.sum(jnp.where(inside, jnp.log(jnp.where(inside, self.values + self.nugget, 1.0)), 0.0))
        if self.full_rank:
            one = one + (np.prod(self.grid) - known) * jnp.log(self.nugget)
        return one * (size / np.prod(self.grid))

    def power(self, x, exponent):
        floor = self.nugget**exponent if self.full_rank else jnp.zeros_like(self.nugget)
        inside = self.values > 0
        gain = jnp.where(inside, jnp.where(inside, self.values + self.nugget, 1.0) ** exponent - floor, 0.0)

        def filtered(leaf):
            check_grid(self, leaf, self.grid)
            scale, zonal, meridional = (a.astype(leaf.dtype) for a in (gain, self.zonal, self.meridional))
            coefficients = jnp.einsum("mjl,...mlc->...mjc", meridional, jnp.einsum("mk,...lkc->...mlc", zonal, leaf))
            inner = jnp.einsum("mjl,...mjc->...mlc", meridional, scale[..., None] * coefficients)
            return floor.astype(leaf.dtype) * leaf + jnp.einsum("mk,...mlc->...lkc", zonal, inner)

        return on_leaves(filtered, x)


def legendre(l_max: int, sine):
    """Associated Legendre functions at sin(latitude), normalised so that sqrt(2) P_lm cos m phi (P_l0) has unit norm on the sphere.

    P_mm = sqrt((2m+1)/(2m)) cos(latitude) P_(m-1)(m-1);  P_lm = a (sine P_(l-1)m - b P_(l-2)m),  a^2 = (4l^2 - 1)/(l^2 - m^2),
    b^2 = ((l-1)^2 - m^2)/(4(l-1)^2 - 1): stable upwards in l (Holmes & Featherstone 2002, doi:10.1007/s00190-002-0216-2, eq. 11)

    Returns: (m, l, points), 0 where l < m. numpy, float64.
    """
    sine = np.asarray(sine, np.float64)
    table = np.zeros((l_max + 1, l_max + 1, sine.size))
    for m in range(l_max + 1):
        table[m, m] = (
            np.sqrt(1 / (4 * np.pi))
            if m == 0
            else np.sqrt((2 * m + 1) / (2 * m)) * np.sqrt(1 - sine**2) * table[m - 1, m - 1]
        )
        for l in range(m + 1, l_max + 1):
            a = np.sqrt((4 * l**2 - 1) / (l**2 - m**2))
            b = np.sqrt(((l - 1) ** 2 - m**2) / (4 * (l - 1) ** 2 - 1)) if l > m + 1 else 0.0
            table[m, l] = a * (sine * table[m, l - 1] - b * table[m, l - 2])
    return table
