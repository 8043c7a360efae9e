"""deepinv's methods for inverse problems, with the exact denoiser of a law: the first `seen` values of x are observed, y (B, seen) +- std.

A sample is an image of one row, (B, 1, 1, d), and the measurement an image that is 0 where nothing is seen.
"""

from importlib.metadata import version

import deepinv
import numpy as np
import torch
from deepinv import sampling

RANGE = 8.0  # of the values, for what wants images between 0 and 1


def versions() -> str:
    return f"deepinv {version('deepinv')}"


class Exact(deepinv.models.Denoiser):
    """E[x_0 | x_0 + sigma eps = x] by mean; of images x / scale + shift."""

    def __init__(self, mean, scale=1.0, shift=0.0):
        super().__init__()
        self.mean, self.scale, self.shift = mean, scale, shift

    def forward(self, x, sigma, **kwargs):
        r = self.scale * torch.as_tensor(sigma, dtype=x.dtype).reshape(-1)[0]
        if r == 0:
            return x
        flat = self.mean(self.scale * (x.reshape(len(x), -1) - self.shift), r)
        return flat.reshape(x.shape) / self.scale + self.shift


def _posterior(fidelity, solver=sampling.DDPMSolver):
    def run(mean, y, physics, calls):
        times = torch.linspace(1.0, 0.0, calls + 1, dtype=torch.float64)  # no call at the last
        sde = sampling.VariancePreservingDiffusion(alpha=1.0, minus_one_one=False)
        model = sampling.PosteriorDiffusion(
            fidelity(), Exact(mean), sde, solver(timesteps=times), minus_one_one=False
        )
        return model(y, physics, x_init=tuple(y.shape))

    return run


def _ddrm(sigmas):
    return lambda mean, y, physics, calls: sampling.DDRM(Exact(mean), sigmas=sigmas(calls))(y, physics)


def _diffpir(mean, y, physics, calls):
    std = float(physics.noise_model.sigma) / RANGE
    small = deepinv.physics.Inpainting(y.shape[1:], physics.mask, noise_model=deepinv.physics.GaussianNoise(std))
    fidelity = deepinv.optim.data_fidelity.L2()
    model = sampling.DiffPIR(Exact(mean, RANGE, 0.5), fidelity, sigma=std, max_iter=calls)
    return RANGE * (model(physics.mask * (y / RANGE + 0.5), small) - 0.5)


METHODS = {
    "DPS, norm (default)": _posterior(lambda: sampling.DPSDataFidelity()),
    "DPS, annealed": _posterior(lambda: sampling.DPSDataFidelity(guidance="annealed")),
    "PiGDM": _posterior(lambda: sampling.PiGDMDataFidelity()),
    "moment matching": _posterior(lambda: sampling.MomentMatchingDataFidelity()),
    "ALD": _posterior(lambda: sampling.ALDDataFidelity()),
    "DDRM, sigmas 1 to 0 (default)": _ddrm(lambda n: np.linspace(1.0, 0.0, n)),
    "DDRM, sigmas 40 to .01": _ddrm(lambda n: np.geomspace(40.0, 0.01, n)),
    "DiffPIR": _diffpir,
}
ALONE = ()


def solve(name: str, mean, y, std: float, dimension: int, calls: int):
    """Samples (B, d) given y (B, seen), by `calls` calls of the denoiser."""
    shape = (1, 1, dimension)
    mask = (torch.arange(dimension) < y.shape[1]).float().reshape(1, *shape)
    physics = deepinv.physics.Inpainting(shape, mask, noise_model=deepinv.physics.GaussianNoise(std))
    full = torch.nn.functional.pad(y, (0, dimension - y.shape[1])).reshape(-1, *shape)
    return METHODS[name](mean, full, physics, calls).reshape(len(y), dimension).detach().float()
