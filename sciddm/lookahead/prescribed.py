"""Methods that are a way of sampling and leave the prediction alone."""

from sciddm.denoiser import Guide, SamplingDefaults


class Prescribed(Guide):
    """`denoiser` itself, with other defaults for `sd.sample`."""

    own: SamplingDefaults

    def evaluate(self, x_t, t, cond=None):
        return self.denoiser.evaluate(x_t, t, cond)

    def defaults(self):
        return self.own
