"""ASE plugin: a calculator, the file format ``.scope``, and their registration.

ASE finds them by the entry points ``ase.ioformats`` and ``ase.plugins``.
"""

from cloud_plugins.ase.calculator import CloudCalculator

__all__ = ["CloudCalculator"]
