"""Corpora: shards of SCOPE strings made from files, databases and servers."""
