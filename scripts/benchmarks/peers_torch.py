"""The exact denoiser of a Gaussian mixture in torch, so that other libraries can differentiate it."""

import numpy as np
import torch

import sciddm as sd

torch.set_num_threads(1)


class TorchMixture:
    """(y (B, d), r) -> E[x_0 | x_0 + r eps = y]: what `GaussianMixture.denoiser` computes. It counts its calls."""

    def __init__(self, law: sd.oracle.GaussianMixture):
        self.means, self.variances, self.log_weights = (
            torch.from_numpy(np.array(value)) for value in (law.means, law.variances, np.log(np.asarray(law.weights)))
        )
        self.basis = None if law.basis is None else torch.from_numpy(np.array(law.basis))
        self.calls = 0

    def __call__(self, y, r):
        self.calls += 1
        r = torch.as_tensor(r, dtype=y.dtype)
        offset = y[:, None] - self.means
        if self.basis is not None:
            offset = torch.einsum("bki,kij->bkj", offset, self.basis)
        total = self.variances + r**2
        logits = self.log_weights - 0.5 * (offset**2 / total + torch.log(total)).sum(-1)
        shift = offset * (self.variances / total)
        if self.basis is not None:
            shift = torch.einsum("bkj,kij->bki", shift, self.basis)
        return torch.einsum("bk,bkd->bd", torch.softmax(logits, -1), self.means + shift)
