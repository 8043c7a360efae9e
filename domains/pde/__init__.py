"""PDE fields: coefficients and solutions, jointly."""

DOMAIN = "domains.pde.domain:PDEDomain"  # by name: networks and plots, which the workers that make data do without
