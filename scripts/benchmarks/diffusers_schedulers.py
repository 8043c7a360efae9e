"""diffusers' schedulers, driven by hand with the exact denoiser of our mixture in the place of a network.

With sigma_data = 1 every scheduler's own `scale_model_input` gives x_t of the variance preserving process, alpha x_0 + sigma eps with
alpha^2 + sigma^2 = 1, whatever it keeps inside; r = sigma/alpha is read from the scheduler at each step. So one driver serves all.
"""

from collections.abc import Callable
from functools import partial

import diffusers
import numpy as np
import torch

torch.set_num_threads(1)  # the tensors are small, and the denoiser needs the cores

# 1000 steps of linear betas: alpha_bar from 0.9999 to 4e-5, the discrete twin of GaussianProcess.vp().
BETAS = {"beta_start": 1e-4, "beta_end": 2e-2, "beta_schedule": "linear", "prediction_type": "epsilon"}
DPM, UNIPC = diffusers.DPMSolverMultistepScheduler, diffusers.UniPCMultistepScheduler
DEIS, DDIM = diffusers.DEISMultistepScheduler, diffusers.DDIMScheduler
EULER, HEUN = diffusers.EulerDiscreteScheduler, diffusers.HeunDiscreteScheduler
EDM_DPM, EDM_EULER = diffusers.EDMDPMSolverMultistepScheduler, diffusers.EDMEulerScheduler
KARRAS, LU, EXPONENTIAL = {"use_karras_sigmas": True}, {"use_lu_lambdas": True}, {"use_exponential_sigmas": True}
TRAILING, SDE = {"timestep_spacing": "trailing"}, {"algorithm_type": "sde-dpmsolver++"}


def _vp(kind, **options):
    return partial(kind, **BETAS, **options)


def _edm(kind, **options):
    return partial(kind, sigma_data=1.0, **options)


# euler_at_final is not among them: with a final sigma of zero the last step is of order 1 anyway, and nothing changes.
# Spacing in time is each class's default unless named. Lu's and exponential sigmas are both uniform in log-SNR.
SCHEDULERS: dict[str, Callable] = {
    "DDIM (leading, default)": _vp(DDIM, clip_sample=False),
    "DDIM trailing": _vp(DDIM, clip_sample=False, **TRAILING),
    "DPMSolver++ 2M": _vp(DPM),
    "DPMSolver++ 2M trailing": _vp(DPM, **TRAILING),
    "DPMSolver++ 2M Karras": _vp(DPM, **KARRAS),
    "DPMSolver++ 2M Lu": _vp(DPM, **LU),
    "DPMSolver++ 3M": _vp(DPM, solver_order=3),
    "DPMSolver++ 3M Karras": _vp(DPM, solver_order=3, **KARRAS),
    "DPMSolver++ 3M Lu": _vp(DPM, solver_order=3, **LU),
    "SDE-DPMSolver++ 2M": _vp(DPM, **SDE),
    "SDE-DPMSolver++ 2M Karras": _vp(DPM, **SDE, **KARRAS),
    "SDE-DPMSolver++ 2M Lu": _vp(DPM, **SDE, **LU),
    "UniPC 2": _vp(UNIPC),
    "UniPC 2 Karras": _vp(UNIPC, **KARRAS),
    "UniPC 2 exponential": _vp(UNIPC, **EXPONENTIAL),
    "UniPC 3": _vp(UNIPC, solver_order=3),
    "UniPC 3 Karras": _vp(UNIPC, solver_order=3, **KARRAS),
    "UniPC 3 exponential": _vp(UNIPC, solver_order=3, **EXPONENTIAL),
    "DEIS 2": _vp(DEIS),
    "DEIS 3": _vp(DEIS, solver_order=3),
    "DEIS 3 Karras": _vp(DEIS, solver_order=3, **KARRAS),
    "Euler": _vp(EULER),
    "Euler Karras": _vp(EULER, **KARRAS),
    "Heun": _vp(HEUN),
    "Heun Karras": _vp(HEUN, **KARRAS),
    "EDM DPMSolver++ 2M": _edm(EDM_DPM),
    "EDM DPMSolver++ 2M exponential": _edm(EDM_DPM, sigma_schedule="exponential"),
    "EDM DPMSolver++ 3M": _edm(EDM_DPM, solver_order=3),
    "EDM Euler": _edm(EDM_EULER),
}


def versions() -> str:
    return f"diffusers {diffusers.__version__}, torch {torch.__version__}"


def deterministic(name: str) -> bool:
    return not name.startswith("SDE")


def solve(name: str, calls: int, noise, x0_hat):
    """Sample with one scheduler and at most `calls` denoiser calls.

    Args: noise: (B, d) float32 standard normal; x0_hat: (y, r) -> E[x_0 | x_0 + r eps = y], numpy arrays and a float.
    Returns: samples (B, d); the calls made; y, r: the start, as the noisy observation y = x_t / alpha at r = sigma / alpha.
    """
    scheduler = SCHEDULERS[name]()
    scheduler.set_timesteps((calls + 1) // 2 if isinstance(scheduler, HEUN) else calls)
    if hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(
            0
        )  # rounded timesteps repeat on fine grids, where a search for the first may find the second
    random = {"generator": torch.Generator().manual_seed(0)} if not deterministic(name) else {}
    x, start = torch.from_numpy(noise) * scheduler.init_noise_sigma, None
    for i, t in enumerate(scheduler.timesteps):
        r = _ratio(scheduler, i, t)
        x_vp = scheduler.scale_model_input(x, t).numpy()
        y = x_vp * np.float32(np.sqrt(1 + r**2))
        start = start or (y, r)
        output = torch.from_numpy(_output(scheduler, y, r, x0_hat(y, r)))
        x = scheduler.step(output, t, x, **random).prev_sample
    return x.numpy(), len(scheduler.timesteps), *start


def _ratio(scheduler, i, t) -> float:
    if isinstance(scheduler, DDIM):
        alpha_bar = float(scheduler.alphas_cumprod[t])
        return float(np.sqrt((1 - alpha_bar) / alpha_bar))
    return float(scheduler.sigmas[i])


def _output(scheduler, y, r, x0_hat):
    # EDM's schedulers take the raw network F of x0_hat = c_skip y + c_out F, at sigma_data = 1; all others take eps.
    if isinstance(scheduler, EDM_DPM | EDM_EULER):
        return ((x0_hat - y / (1 + r**2)) * (np.sqrt(1 + r**2) / r)).astype(np.float32)
    return ((y - x0_hat) / r).astype(np.float32)
