import pytest


@pytest.fixture
def points(rng):
    return rng.normal(size=(50, 6)), rng.integers(0, 4, 50)
