"""One currency for all particle methods: network calls, evaluations of one sample; backward passes don't count."""


def particles_for(num_particles: int | None, budget: int | None, calls: int) -> int:
    """How many particles: as told, or as many as `budget` pays for at `calls` each.

    Raises: ValueError unless exactly one of the two is given, or where the budget does not pay for one.
    """
    if (num_particles is None) == (budget is None):
        raise ValueError("expected either num_particles or budget (network calls in all)")
    if num_particles is not None:
        return num_particles
    if budget < calls:
        raise ValueError(
            f"budget = {budget}: one particle costs {calls} network calls; give at least {calls}, or fewer steps"
        )
    return budget // calls
