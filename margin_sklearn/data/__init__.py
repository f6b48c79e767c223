"""Validation of X, y and sample weights, and the batches that networks are trained on."""
