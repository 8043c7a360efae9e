"""One currency for all particle methods: network calls, evaluations of one sample; backward passes don't count."""

from sciddm.keys import whole
from sciddm.lookahead.observe.potentials import conjunction


def particles_for(num_particles: int | None, budget: int | None, calls: int, once: int = 0) -> int:
    """How many particles: `num_particles`, or as many as `budget` pays for at `calls` each, after `once` for all of them.

    Raises: ValueError unless exactly one of the two is given, or where the budget does not pay for one.
    """
    if (num_particles is None) == (budget is None):
        raise ValueError("expected either num_particles or budget (network calls in all)")
    if num_particles is not None:
        return whole(num_particles, "num_particles")
    budget = whole(budget, "budget", 0)
    if budget < once + calls:
        raise ValueError(f"budget = {budget}: the least is {once + calls} network calls; give as many, or fewer steps")
    return (budget - once) // calls


def scaled(potential, scale):
    """scale * potential, as a potential; a number that changes does not compile anything again."""
    return conjunction(potential, weights=[scale])
