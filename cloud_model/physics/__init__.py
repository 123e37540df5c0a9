"""Physics: the outputs of the network become thermodynamics."""
