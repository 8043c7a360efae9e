"""How does an instrument err? The law of y given the prediction A(x_0), entry by entry: p(y | prediction), normalised.

Every method acts on arrays whose leading axis is the batch, and every parameter broadcasts to them: one number, one a channel (C,),
one a point (points, 1), or shaped like the prediction. `Observation` splits pytrees and checks shapes.
"""

import abc

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import gammaln, log_ndtr

from sciddm.keys import sample_keys

LOG_2PI = float(np.log(2.0 * np.pi))


class MeasurementNoise(eqx.Module):
    """p(y | prediction) of each entry. A new law implements the three methods below, and `residual` if y is in other units."""

    @abc.abstractmethod
    def log_density(self, y, prediction):
        """log p(y | prediction) in nats, like the prediction."""

    @abc.abstractmethod
    def variance(self, prediction):
        """Variance of `residual` in the Gaussian that guides by second moments put in this law's place; broadcasts to the prediction."""

    @abc.abstractmethod
    def sample(self, key, prediction):
        """y ~ p(y | prediction), like the prediction. key: one key, folded by sample index, or (B,) keys."""

    def residual(self, y, prediction):
        """What of y the prediction leaves unexplained, in units of the prediction."""
        return y - prediction


def _parameter(value):
    return jnp.asarray(value, jnp.result_type(float))


def _draw(sampler, key, prediction, *args):
    keys = sample_keys(key, prediction.shape[0])
    return jax.vmap(lambda k, *one: sampler(k, *one, prediction.shape[1:], prediction.dtype))(keys, *args)


def _positive(value):
    return (value > 0) & np.isfinite(value)


def _require(where, law, name, wanted):
    # in numpy: jnp would trace it, where a law is made inside a jitted function
    value = getattr(law, name)
    if not isinstance(value, jax.core.Tracer) and not np.all(where(np.asarray(value))):
        raise ValueError(f"{name} = {value}: expected {wanted}, in the units of {type(law).__name__}'s prediction")


class Gaussian(MeasurementNoise):
    """y = prediction + std * standard normal. Raises: ValueError if std is negative, NaN or infinite."""

    std: jax.Array = eqx.field(converter=_parameter)

    def __check_init__(self):
        if not isinstance(self.std, jax.core.Tracer) and not np.all((np.asarray(self.std) >= 0) & np.isfinite(self.std)):
            raise ValueError(f"noise_std is negative or no finite number: {self.std}; expected standard deviations, in the units of value")

    def log_density(self, y, prediction):
        return -0.5 * ((y - prediction) ** 2 / self.std**2 + LOG_2PI) - jnp.log(self.std)

    def variance(self, prediction):
        return self.std**2

    def sample(self, key, prediction):
        return prediction + self.std * _draw(jax.random.normal, key, prediction)


class Laplace(MeasurementNoise):
    """p(y) = exp(-|y - prediction| / scale) / (2 scale): outliers. Raises: ValueError unless scale is positive."""

    scale: jax.Array = eqx.field(converter=_parameter)

    def __check_init__(self):
        _require(_positive, self, "scale", "a positive scale")

    def log_density(self, y, prediction):
        return -jnp.abs(y - prediction) / self.scale - jnp.log(2.0 * self.scale)

    def variance(self, prediction):
        return 2.0 * self.scale**2

    def sample(self, key, prediction):
        return prediction + self.scale * _draw(jax.random.laplace, key, prediction)


class Poisson(MeasurementNoise):
    """y ~ Poisson(rate) counts, rate = gain * prediction where that is positive.

        rate = floor softplus(gain * prediction / floor)

    A prediction may be negative on its way: the softplus keeps the rate positive and the gradient pointing back, y gain / floor at
    most, and is gain * prediction to 1e-4 of `floor` from 10 floors on. The Gaussian in its place never has less than the variance
    of one count.

    Args: gain: counts per unit of the prediction; floor: in counts.
    Raises: ValueError unless both are positive.
    """

    gain: jax.Array = eqx.field(converter=_parameter, default=1.0)
    floor: jax.Array = eqx.field(converter=_parameter, default=0.01)

    def __check_init__(self):
        _require(_positive, self, "gain", "positive counts per unit")
        _require(_positive, self, "floor", "positive counts")

    def rate(self, prediction):
        """Expected counts."""
        return self.floor * jax.nn.softplus(self.gain * prediction / self.floor)

    def log_density(self, y, prediction):
        z = self.gain * prediction / self.floor
        # log softplus(z) = z - e^z / 2 + ... far down, where softplus itself is 0
        near = jnp.where(z > -15.0, z, 0.0)
        log_rate = jnp.log(self.floor) + jnp.where(z > -15.0, jnp.log(jax.nn.softplus(near)), z)
        return y * log_rate - self.rate(prediction) - gammaln(y + 1.0)

    def variance(self, prediction):
        return jnp.maximum(self.rate(prediction), 1.0) / self.gain**2

    def sample(self, key, prediction):
        def sampler(k, rate, shape, dtype):
            return jax.random.poisson(k, rate, shape).astype(dtype)

        return _draw(sampler, key, prediction, self.rate(prediction))

    def residual(self, y, prediction):
        return y / self.gain - prediction


class Quantised(MeasurementNoise):
    """prediction + std * standard normal, rounded to multiples of step: P(y) = Phi((y + step/2 - p) / std) - Phi((y - step/2 - p) / std).

    y must lie on the lattice that the instrument reports; `sample` rounds to multiples of step. In float32 good for steps from
    std / 1000 on: finer ones are no quantisation, take `Gaussian`. Raises: ValueError unless std and step are positive.
    """

    std: jax.Array = eqx.field(converter=_parameter)
    step: jax.Array = eqx.field(converter=_parameter)

    def __check_init__(self):
        _require(_positive, self, "std", "a positive standard deviation")
        _require(_positive, self, "step", "a positive step")

    def log_density(self, y, prediction):
        # Phi is symmetric: put the interval in the lower half, where log Phi resolves its tail
        middle, half = -jnp.abs(y - prediction) / self.std, 0.5 * self.step / self.std
        high, low = log_ndtr(middle + half), log_ndtr(middle - half)
        return high + jnp.log(-jnp.expm1(jnp.minimum(low - high, -jnp.finfo(high.dtype).eps)))

    def variance(self, prediction):
        return self.std**2 + self.step**2 / 12.0

    def sample(self, key, prediction):
        exact = prediction + self.std * _draw(jax.random.normal, key, prediction)
        return self.step * jnp.round(exact / self.step)


class Clipped(MeasurementNoise):
    """prediction + std * standard normal by an instrument that saturates: a density inside (low, high), probabilities at both ends.

    p(y) = N(y; p, std^2) inside;  P(low) = Phi((low - p) / std);  P(high) = Phi((p - high) / std)

    A saturated y is explained by any prediction beyond the limit, and its `residual` is 0 there.
    Raises: ValueError unless std is positive and low < high.
    """

    std: jax.Array = eqx.field(converter=_parameter)
    low: jax.Array = eqx.field(converter=_parameter, default=-jnp.inf)
    high: jax.Array = eqx.field(converter=_parameter, default=jnp.inf)

    def __check_init__(self):
        _require(_positive, self, "std", "a positive standard deviation")
        if not isinstance(self.low, jax.core.Tracer):
            _require(lambda value: np.all(np.asarray(self.low) < value), self, "high", f"more than low = {self.low}")

    def log_density(self, y, prediction):
        inside = -0.5 * (((y - prediction) / self.std) ** 2 + LOG_2PI) - jnp.log(self.std)
        # a limit at infinity is never met; a finite stand-in keeps its unused branch differentiable
        low, high = (jnp.where(jnp.isfinite(limit), limit, 0.0) for limit in (self.low, self.high))
        below, above = log_ndtr((low - prediction) / self.std), log_ndtr((prediction - high) / self.std)
        return jnp.where(y <= self.low, below, jnp.where(y >= self.high, above, inside))

    def variance(self, prediction):
        return self.std**2

    def sample(self, key, prediction):
        exact = prediction + self.std * _draw(jax.random.normal, key, prediction)
        return jnp.clip(exact, self.low, self.high)

    def residual(self, y, prediction):
        residual = y - prediction
        explained = ((y <= self.low) & (residual > 0)) | ((y >= self.high) & (residual < 0))
        return jnp.where(explained, 0.0, residual)
