"""Molecules: three-dimensional structures and conformers, as point sets with kinds and pairs."""


def get_domain(config, normalizer=None):
    """The molecules domain of a config; see `domains.molecules.domain`."""
    from domains.molecules.domain import MoleculesDomain  # networks and plots, which readers do without

    return MoleculesDomain.from_config(config, normalizer)
