"""flow_matching's ODE solver by the methods of fixed steps that it passes on to torchdiffeq, with the exact velocity of a law."""

from importlib.metadata import version

import numpy as np
import torch
from flow_matching.path.scheduler import CondOTScheduler
from flow_matching.solver import ODESolver

torch.set_num_threads(1)  # the tensors are small, and the denoiser needs the cores

METHODS = {"euler": 1, "midpoint": 2, "heun2": 2, "heun3": 3, "rk4": 4}  # velocities a step
SAMPLERS = tuple(METHODS)
EDGE = 1e-5  # of times 0 and 1, where x_0 or eps can't be told from the other


def versions() -> str:
    return f"flow_matching {version('flow_matching')}"


def solve(name: str, calls: int, noise, x0_hat):
    """Samples (B, d), the calls made, and the start y, r: r is infinite there, and a thousand stands for it."""
    steps, scheduler = calls // METHODS[name], CondOTScheduler()

    def velocity(x, t):
        level = scheduler(t.clip(EDGE, 1.0 - EDGE))
        alpha, sigma = float(level.alpha_t), float(level.sigma_t)
        mean = torch.from_numpy(np.array(x0_hat((x / alpha).numpy(), sigma / alpha)))
        eps = (x - alpha * mean) / sigma
        return level.d_alpha_t * mean + level.d_sigma_t * eps

    grid = torch.linspace(0.0, 1.0, steps + 1)
    samples = ODESolver(velocity).sample(torch.from_numpy(noise), step_size=None, method=name, time_grid=grid)
    return samples.numpy(), steps * METHODS[name], np.float32(1e3) * noise, 1e3
