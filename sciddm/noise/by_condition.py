"""A law that the condition decides, where samples have sizes of their own: the one place where their masks enter the noise."""

from collections.abc import Callable

import equinox as eqx

from sciddm.noise.base import Noise


class ByCondition(Noise):
    """`rule(cond)`, such as a law masked by cond["mask"], wherever there is a cond, and `law` where there is none.

    A domain gives it to its process once; whatever samples, weighs or trains asks `given` with the cond at hand, so that a sample's law
    goes where its cond goes. rule: cond, with an entry a sample or one for all (1, ...), -> Noise; hashable, for it is not traced.
    """

    law: Noise
    rule: Callable = eqx.field(static=True)

    def given(self, cond):
        return self.law if cond is None else self.rule(cond)

    def per_sample(self, like):
        return eqx.tree_at(lambda whole: whole.law, self, self.law.per_sample(like))

    def sample(self, key, like):
        return self.law.sample(key, like)

    def log_prob(self, eps):
        return self.law.log_prob(eps)

    def project(self, x):
        return self.law.project(x)

    def covariance(self, u):
        return self.law.covariance(u)

    def precision(self, u):
        return self.law.precision(u)

    def dimension(self, like):
        return self.law.dimension(like)
