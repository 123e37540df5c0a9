"""Crystals: a file, a text or an object of another library becomes a `Crystal`.

Hosts that are read here and nowhere else in this package: ASE (objects, and its readers of XYZ, XSF, PDB, GEN, POSCAR,
trajectories and Quantum ESPRESSO) and pymatgen (objects, and its reader of CSSR). See `cloud_model.crystal.formats`.
"""
