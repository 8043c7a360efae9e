"""How much is there at every scale?"""

import numpy as np
import xarray as xr

from sciddm.errors import UserError
from sciddm.metrics.pairs import axes, masked, named, names


def radial_spectrum(fields, spacing: float = 1.0, window: str | None = "hann", keep=()):
    """Radially averaged power spectrum, its mean over all dimensions but y, x and `keep`: units^2 a mode, against wavelength.

    Power = |FFT2(w (z - mean))|^2 / (N^2 <w^2>), N pixels, so its sum over all modes is the windowed variance; rings
    k - 1/2 <= |k| < k + 1/2 of the wavenumber in cycles per domain, k = 1 .. n/2. The periodic Hann window w(y) w(x) is for fields
    that do not end where they began, which would else leak a k^-2 tail into every scale; the mean is the one under the window.
    Missing pixels are put at the mean (no power): mask forecast and observation alike before you compare them, as
    `spectrum_error_dB` does.

    Args: fields: DataArray with y and x, or array (..., y, x), its other dimensions called axis_0, axis_1, ...; square, n x n;
        spacing: of the pixels, in the unit that wavelengths are to have; window: "hann" or None for periodic fields.
    Returns: (*keep, wavelength) from the longest to the shortest (two pixels), and `modes` of each ring; of an array an array.
    Raises: UserError for fields that are not square and for another window.
    """
    if not isinstance(fields, xr.DataArray):
        fields = xr.DataArray(np.asarray(fields), dims=axes(np.ndim(fields), ("y", "x")))
        return radial_spectrum(fields, spacing, window, keep).values
    n = fields.sizes["x"]
    if fields.sizes["y"] != n:
        raise UserError(f"spectrum: expected square fields, got {fields.sizes['y']} x {n}; crop them")
    if window not in ("hann", None):
        raise UserError(f"window: expected 'hann' or None, got {window!r}")
    wavenumber = np.fft.fftfreq(n, 1 / n)
    ring = np.rint(np.hypot(wavenumber[:, None], wavenumber[None])).astype(int).ravel()
    modes = np.bincount(ring)

    def rings(z):
        flat = _power(z, window).reshape(-1, n * n)
        mean = np.stack([np.bincount(ring, row, minlength=len(modes)) for row in flat]) / modes
        return mean.reshape(*z.shape[:-2], -1)[..., 1 : n // 2 + 1]

    first = [d for d in fields.dims if d not in ("y", "x")]
    stacked = fields.transpose(*first, "y", "x")
    # Frame by frame in the first dimension, so that 24 events of 20 members need no second copy of all of them.
    values = np.stack([rings(z) for z in stacked.values]) if first else rings(stacked.values)
    coords = {d: fields[d] for d in first if d in fields.coords}
    coords |= {
        "wavelength": n * spacing / np.arange(1, n // 2 + 1),
        "modes": ("wavelength", modes[1 : n // 2 + 1]),
    }
    result = xr.DataArray(values, dims=(*first, "wavelength"), coords=coords, name="power spectrum")
    return result.mean([d for d in first if d not in names(keep)])


def _power(z, window):
    # Power of each mode of fields (..., n, n).
    n, there = z.shape[-1], np.isfinite(z)
    if window is None:
        if not there.all():
            z = np.where(there, z, np.nanmean(np.where(there, z, np.nan), (-2, -1), keepdims=True))
        return np.abs(np.fft.fft2(z)) ** 2 / n**4
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n) / n)
    w = np.outer(hann, hann)
    weight = np.where(there, w, 0.0)
    mean = (weight * np.where(there, z, 0.0)).sum((-2, -1)) / np.maximum(weight.sum((-2, -1)), 1e-12)
    z = np.where(there, z - mean[..., None, None], 0.0) * w
    return np.abs(np.fft.fft2(z)) ** 2 / (n**4 * np.mean(w**2))


def spectrum_error_dB(forecast, observed, shortest: float = 4.0, keep=(), window: str | None = "hann"):
    """|10 log10 (power of the members / power of the observation)|, over wavelengths longer than `shortest` pixels. dB.

    The power is of every member by itself, then averaged; never that of their mean, which is smooth by construction.

    Args: forecast, observed: DataArrays with y and x, members in forecast; or arrays (M, ..., y, x) and (..., y, x).
    Returns: Dataset of max, mean (over wavelengths), and ratio (wavelength), signed.
    """
    forecast, observed = masked(*named(forecast, observed, ("y", "x")))
    power, of_truth = (radial_spectrum(z, 1.0, window, keep) for z in (forecast, observed))
    ratio = 10 * np.log10(power / of_truth)
    ratio = ratio.where(ratio.wavelength > shortest, drop=True)
    return xr.Dataset({"max": abs(ratio).max("wavelength"), "mean": abs(ratio).mean("wavelength"), "ratio": ratio})
