"""Pretraining: masked-language modelling of SCOPE strings."""
