"""Save fitted estimators to one file, and load them without running what it contains."""
