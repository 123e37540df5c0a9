"""SCOPE: a `Crystal` becomes a string of its symmetry, Wyckoff positions and composition."""

DEFAULT_SYMPREC = 0.01
"""Tolerance of the symmetry search, Angstrom: that of pymatgen and of the published code."""
