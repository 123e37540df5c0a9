"""Checkpoints: a directory on disk becomes networks and their configuration, and back."""
