"""Independent parts of one x, each with a prior of its own."""

import equinox as eqx
import jax.numpy as jnp

from sciddm.answer import Answer
from sciddm.denoiser import Denoiser, SamplingDefaults
from sciddm.process import GaussianProcess


class Both(Denoiser):
    """Components on the last axis of x, (B, ..., C), that are independent: each has its expected value by a denoiser of (B, ..., 1).

        p(x) = p_1(x_1) p_2(x_2) ...,   E[x_0 | x_t] = (E_1[x_1 | x_1t], E_2[x_2 | x_2t], ...)

    A guide around it binds them together, such as one of their sum. All hear the same cond; what they report is averaged.
    Raises: ValueError unless all have the same process, Refusal of one with a sampler or corrections of its own.
    """

    denoisers: tuple[Denoiser, ...]

    def __check_init__(self):
        first = self.denoisers[0].process
        if other := next((one.process for one in self.denoisers if not eqx.tree_equal(first, one.process)), None):
            raise ValueError(f"denoisers of two processes, {first} and {other}: expected one, by which all parts become noise together")
        for one in self.denoisers:
            one.sampling.refuse("are of one part", "take the plain denoisers, and put the guide around both")

    @property
    def process(self) -> GaussianProcess:
        return self.denoisers[0].process

    @property
    def calls(self) -> int:
        return sum(one.calls for one in self.denoisers)

    @property
    def sampling(self) -> SamplingDefaults:
        """Those of the first."""
        return self.denoisers[0].sampling

    def evaluate(self, x_t, t, cond=None):
        found = [one.evaluate(x_t[..., i : i + 1], t, cond).unmoved("Both") for i, one in enumerate(self.denoisers)]
        names = [name for name in found[0].report if all(name in answer.report for answer in found)]
        report = {name: sum(answer.report[name] for answer in found) / len(found) for name in names}
        return Answer(jnp.concatenate([answer.x0_hat for answer in found], -1), report)
