"""A twist that is known: log h_t(x_t) as a function, steered by its own gradient. Exact answers, learned values."""

from collections.abc import Callable

from sciddm.arithmetic import combine
from sciddm.lookahead.gradients import gain, guidance_norm, value_and_gradient
from sciddm.particles.twists.base import Look, Twist


class KnownTwist(Twist):
    """log_h: (x_t, t) -> (K,), nats, of x_t itself."""

    log_h: Callable

    def look(self, denoiser, x_t, t, cond, index, memory):
        answer = denoiser.evaluate(x_t, t, cond)
        x0_hat = answer.x0_hat
        value, gradient = value_and_gradient(self.log_h, x_t, t)
        score = denoiser.process.noise.each("covariance", gradient)
        steered = combine(1.0, x0_hat, gain(denoiser.process, t), score)
        report = answer.report | {"guidance_norm": guidance_norm(denoiser.process, x_t, t, x0_hat, steered)}
        return Look(x0_hat, steered, value, report), memory
