"""One training of a network: from settings and data to weights."""
