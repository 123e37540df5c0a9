"""Measurements of accuracy and speed, whose results are in ``results``."""
