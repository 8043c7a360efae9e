"""Rewards of PDE fields, in pairs of measures of the same quality."""

from functools import partial

from sciddm import rewards
from sciddm.domain import Reward

TWO_PHASE_MIDDLE = 7.5  # of Darcy's permeability, 3 or 12


def make_rewards(domain) -> dict[str, Reward]:
    """Rewards of an equation by name. All are dimensionless, as the fields are.

    `maximum of` the last variable, beside its `mean of` where the equation is elliptic, which sets the sign of its solution, else
    beside its `energy of` (half the mean square; the enstrophy of a vorticity). `share of high` and `cells of high`, beside each
    other: how much of the coefficient (elliptic) or of the last variable is high, and in how many connected regions. High is above the
    middle of the two phases for Darcy, else above one standard deviation over the mean.
    """
    elliptic, names = domain.spec.residual is not None, domain.variables
    last = len(names) - 1
    patchy = 0 if elliptic else last
    mean, std = (float(value[patchy]) for value in (domain.normalizer.mean, domain.normalizer.std))
    threshold = TWO_PHASE_MIDDLE if domain.equation == "darcy" else mean + std
    size, size_function = ("mean", rewards.mean) if elliptic else ("energy", _energy)

    def of(function, channel):
        return lambda x: function(x[..., channel])

    maximum, whole = f"maximum of {names[last]}", f"{size} of {names[last]}"
    share, cells = f"share of high {names[patchy]}", f"cells of high {names[patchy]}"
    smooth_share = partial(rewards.share_above, threshold=threshold, softness=0.1 * std)
    count_cells = partial(rewards.cells_above, threshold=threshold, periodic=domain.spec.periodic)
    return {
        maximum: Reward(of(rewards.maximum, last), "1", held_out=whole),
        whole: Reward(of(size_function, last), "1", held_out=maximum),
        share: Reward(of(smooth_share, patchy), "1", held_out=cells),
        cells: Reward(of(count_cells, patchy), "1", held_out=share, differentiable=False),
    }


def _energy(field):
    return 0.5 * rewards.mean_square(field)
