"""Inference: a checkpoint and crystals become tables of properties, embeddings and thermodynamics."""
