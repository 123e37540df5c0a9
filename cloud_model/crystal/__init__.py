"""Crystals: a file, a text or an object of another library becomes a `Crystal`."""
