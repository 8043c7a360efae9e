"""azula's methods for inverse problems, with the exact denoiser of a law: the first `seen` values of x are observed, y (B, seen) +- std."""

import torch
from azula import guidance
from azula.denoise import Denoiser, DiracPosterior
from azula.linalg.covariance import IsotropicCovariance
from azula.noise import VPSchedule
from azula.sample import DDIMSampler, DDPMSampler


class Exact(Denoiser):
    """E[x_0 | x_t] by mean: (y, r) -> E[x_0 | x_0 + r eps = y], differentiable."""

    def __init__(self, mean):
        super().__init__()
        self.mean, self.schedule = mean, VPSchedule()

    def forward(self, x_t, t, **kwargs):
        alpha, sigma = self.schedule(t)
        return DiracPosterior(self.mean(x_t / alpha, sigma / alpha))


def _guided(make, kind=DDPMSampler):
    # a guide that is a denoiser of its own, by one of azula's samplers
    return lambda q, y, std, steps: kind(make(q, y, lambda x: x[:, : y.shape[1]], std), steps=steps, silent=True)


def _dps(zeta):
    # azula takes the norm over the whole batch; as the sum of the samples' norms in the place of A(x), it is that of each sample
    def make(q, y, std, steps):
        norms = lambda x: torch.linalg.vector_norm(y - x[:, : y.shape[1]], dim=1).sum()[None]  # noqa: E731
        return guidance.dps.DPSSampler(q, torch.zeros(1), norms, zeta=zeta, steps=steps, silent=True)

    return make


def _pgdm(eta):
    def make(q, y, std, steps):
        fill = lambda v: torch.nn.functional.pad(v, (0, q.dimension - v.shape[1]))  # noqa: E731
        seen = lambda x: x[:, : y.shape[1]]  # noqa: E731
        return guidance.pgdm.PGDMSampler(q, y, seen, fill, eta=eta, steps=steps, silent=True)

    return make


def _tds(q, y, std, steps):
    def twist(x, r):
        spread = torch.sqrt(std**2 + r**2 / (1 + r**2))
        return torch.distributions.Normal(x[:, : y.shape[1]], spread).log_prob(y)

    return guidance.tds.TDSSampler(q, twist, steps=steps, silent=True)


def _repaint(q, y, std, steps):
    full = torch.nn.functional.pad(y, (0, q.dimension - y.shape[1]))
    mask = (torch.arange(q.dimension) < y.shape[1]).expand_as(full)
    return guidance.repaint.RePaintSampler(q, full, mask, iterations=2, eta=1.0, steps=steps // 2, silent=True)


def _mmps(solver, iterations):
    def make(q, y, A, std):
        return guidance.mmps.MMPSDenoiser(q, y, A, IsotropicCovariance(std**2), solver=solver, iterations=iterations)

    return make


def _jfps(q, y, A, std):
    unit = IsotropicCovariance(torch.tensor(1.0))
    return guidance.jfps.JFPSDenoiser(q, y, A, IsotropicCovariance(torch.tensor(std**2)), unit, iterations=4)


METHODS = {
    "MMPS, gmres 1 (default), DDPM": _guided(_mmps("gmres", 1)),
    "MMPS, gmres 4, DDPM": _guided(_mmps("gmres", 4)),
    "MMPS, gmres 4, DDIM": _guided(_mmps("gmres", 4), DDIMSampler),
    "TMPD, DDPM": _guided(lambda q, y, A, std: guidance.tmpd.TMPDenoiser(q, y, A, std**2)),
    "JFPS, DDPM": _guided(_jfps),
    "DiffPIR, DDPM": _guided(lambda q, y, A, std: guidance.diffpir.DiffPIRDenoiser(q, y, A, std**2)),
    "PGDM, eta 1": _pgdm(1.0),
    "DPS, zeta 1 (default)": _dps(1.0),
    "DPS, zeta 0.1": _dps(0.1),
    "RePaint, 2 visits": _repaint,
    "TDS": _tds,
}
ALONE = ("TDS",)  # methods whose samples know of each other: one observation at a time


def solve(name: str, mean, y, std: float, dimension: int, calls: int):
    """Samples (B, d) given y (B, seen), by `calls` calls of the denoiser or fewer."""
    q = Exact(mean)
    q.dimension = dimension
    sampler = METHODS[name](q, y, std, calls)
    return sampler(sampler.init((len(y), dimension))).detach()
