"""Molecules: three-dimensional structures and conformers, as point sets with kinds and pairs."""

DOMAIN = "domains.molecules.domain:MoleculesDomain"  # by name: networks and plots, which readers do without
