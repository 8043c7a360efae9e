"""azula's samplers on azula's own noise schedules, with the exact denoiser of a law in the place of a network."""

from importlib.metadata import version

import numpy as np
import torch
from azula import noise as schedules
from azula import sample as samplers
from azula.denoise import Denoiser, DiracPosterior

torch.set_num_threads(1)  # the tensors are small, and the denoiser needs the cores

SCHEDULES = {
    "vp": schedules.VPSchedule,
    "cosine": schedules.CosineSchedule,
    "rectified": schedules.RectifiedSchedule,
    "decay": schedules.DecaySchedule,
}
METHODS = {"DDIM": (samplers.DDIMSampler, {}), "Heun": (samplers.HeunSampler, {})} | {
    f"{name}{order}": (getattr(samplers, f"{name}Sampler"), {"order": order})
    for name in ("zAB", "vAB", "zEAB", "xEAB", "REAB")
    for order in (2, 3)
}
SAMPLERS = {f"{method}, {schedule}": (method, schedule) for method in METHODS for schedule in SCHEDULES}


def versions() -> str:
    return f"azula {version('azula')}"


class Exact(Denoiser):
    """E[x_0 | x_t] by x0_hat: (y, r) -> E[x_0 | x_0 + r eps = y]."""

    def __init__(self, schedule, x0_hat):
        super().__init__()
        self.schedule, self.x0_hat = schedule, x0_hat

    def forward(self, x_t, t, **kwargs):
        alpha, sigma = self.schedule(t)
        mean = self.x0_hat((x_t / alpha).numpy(), float(sigma / alpha))
        return DiracPosterior(torch.from_numpy(np.array(mean)))


def solve(name: str, calls: int, noise, x0_hat):
    """Samples (B, d), the calls made, and the start y, r; from where `Sampler.init` begins for data of mean 0 and variance 1."""
    method, schedule = SAMPLERS[name]
    kind, options = METHODS[method]
    steps = calls // 2 if method == "Heun" else calls
    sampler = kind(Exact(SCHEDULES[schedule](), x0_hat), steps=steps, silent=True, **options)
    alpha, sigma = (float(value) for value in sampler.denoiser.schedule(sampler.timesteps[0]))
    x = np.float32(np.hypot(alpha, sigma)) * noise
    samples = sampler(torch.from_numpy(x)).numpy()
    return samples, 2 * steps if method == "Heun" else steps, x / np.float32(alpha), sigma / alpha
