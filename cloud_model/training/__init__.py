"""Pretraining by masked-language modelling, and fine-tuning to properties."""
