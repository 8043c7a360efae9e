"""One denoiser under any process: what it knows depends on the signal-to-noise ratio alone.

    x_t / sqrt(alpha^2 + sigma^2) has the same law under every process at the same log_snr = log(alpha^2 / sigma^2)

(Kingma et al. 2021, section 5.1, arXiv:2107.00630; Karras et al. 2022, arXiv:2206.00364), so a flow model can be sampled on
a VP path, with its stochastic solvers, and the other way round.
"""

import jax
import jax.numpy as jnp

from sciddm.arithmetic import expand
from sciddm.denoiser import Denoiser
from sciddm.process import GaussianProcess


class MatchSNR(Denoiser):
    """The denoiser of another process at the same signal-to-noise ratio; see `match_snr`."""

    denoiser: Denoiser
    process: GaussianProcess

    @property
    def calls(self) -> int:
        return self.denoiser.calls

    def evaluate(self, x_t, t, cond=None):
        norm = jnp.hypot(self.process.alpha(t), self.process.sigma(t))
        answer = denoise_at(self.denoiser, _scale(x_t, 1.0 / norm), self.process.log_snr(t), cond)
        return answer.unmoved("match_snr, where x is another one,")


def match_snr(denoiser: Denoiser, process: GaussianProcess) -> Denoiser:
    """`denoiser` as the denoiser of `process`.

    E[x_0 | x_t] = denoiser(x_t sqrt((alpha_o^2 + sigma_o^2) / (alpha^2 + sigma^2)), t_o),    log_snr_o(t_o) = log_snr(t)

    with alpha, sigma of `process` at t and alpha_o, sigma_o of the denoiser's own process at t_o. Beyond the range of the own
    process (VE and EDM stop at sigma_min and sigma_max) it is asked at that end, so both ends are finite. The noise law stays
    the denoiser's: that of `process` must be the same.
    Raises: Refusal of a denoiser that brings corrections or a sampler, which are of its own process; put them around.
    """
    denoiser.sampling.refuse("are of its own process", "take match_snr of the plain denoiser, and the guide around it")
    return MatchSNR(denoiser, process)


def denoise_at(denoiser: Denoiser, y, log_snr, cond=None):
    """The `Answer` from y = x_t / sqrt(alpha^2 + sigma^2). log_snr: (), (B,), or broadcastable to y, infinite at the ends."""
    t = time_at(denoiser.process, log_snr)
    norm = jnp.hypot(denoiser.process.alpha(t), denoiser.process.sigma(t))
    return denoiser.evaluate(_scale(y, norm), t, cond)


def time_at(process: GaussianProcess, log_snr):
    """The t in [0, 1] whose log_snr is nearest."""
    # Within the process's own range first: the inverses of VP and sub-VP are not defined at -inf.
    own = jnp.clip(log_snr, process.log_snr(1.0), process.log_snr(0.0))
    return jnp.clip(process.time(own), 0.0, 1.0)


def _scale(x, factor):
    return jax.tree.map(lambda leaf: leaf * expand(factor, leaf).astype(leaf.dtype), x)
