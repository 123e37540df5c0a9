"""Crystals from files, databases and servers to shards of SCOPE strings."""
