"""PDE fields: coefficients and solutions, jointly."""


def get_domain(config, normalizer=None):
    """The PDE domain of a config; see `domains.pde.domain`."""
    from domains.pde.domain import PDEDomain  # networks and plots, which the workers that make data do without

    return PDEDomain.from_config(config, normalizer)
