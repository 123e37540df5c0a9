"""Fine-tuning: a network learns properties from labelled crystals."""
