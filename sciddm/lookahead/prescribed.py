"""Methods that are a way of sampling and leave the prediction alone."""

from sciddm.denoiser import Guide, Sampling


class Prescribed(Guide):
    """`denoiser` itself, to be sampled as `wish` says."""

    wish: Sampling

    def evaluate(self, x_t, t, cond=None):
        return self.denoiser.evaluate(x_t, t, cond)

    def asks(self):
        return self.wish
