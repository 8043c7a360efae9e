"""What was measured, and how well? Operators, measurement laws, observations, potentials and statistics to match."""
