"""SCOPE: a `Crystal` becomes a string of its symmetry, Wyckoff positions and composition."""
