"""Train a network: from settings and data to weights."""
