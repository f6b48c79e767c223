import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from margin_sklearn.neighborhoods import clear_cache
from margin_sklearn.neighborhoods.cache import OVERHEAD, PERTURBED_SAMPLES, ByteBoundedCache

SECONDS = 20


@pytest.fixture
def cache():
    return ByteBoundedCache(2**20)


def fail():
    raise AssertionError("computed again")


def test_a_value_is_computed_once(cache):
    first = cache.get("a", lambda: np.ones(3))
    assert cache.get("a", fail) is first
    assert cache.peek("a") is first
    assert cache.peek("b") is None
    assert len(cache) == 1


def test_the_least_recently_used_is_dropped_beyond_its_bytes():
    cache = ByteBoundedCache(3 * (800 + OVERHEAD))
    for key in "abc":
        cache.get(key, lambda: np.zeros(100))
    assert cache.nbytes == cache.max_bytes
    cache.get("a", fail)
    cache.peek("b")
    cache.put("d", np.zeros(100))
    assert cache.peek("c") is None
    for key in ("a", "b", "d"):
        cache.get(key, fail)
    # A value that is too large is the only one.
    cache.get("huge", lambda: np.zeros(10_000))
    assert len(cache) == 1
    cache.get("huge", fail)


def test_small_values_are_bounded_too():
    cache = ByteBoundedCache(10 * OVERHEAD)
    for number in range(100):
        cache.get(number, lambda: 1.0)
    assert len(cache) == 10


def test_threads_wait_for_the_one_that_computes(cache):
    begun, done, computed = threading.Event(), threading.Event(), []

    def slow():
        computed.append(1)
        begun.set()
        assert done.wait(SECONDS)
        return np.ones(2)

    with ThreadPoolExecutor(8) as threads:
        found = [threads.submit(cache.get, "a", slow) for _ in range(8)]
        assert begun.wait(SECONDS)
        # Other keys are not held up meanwhile, whether they are there or not.
        assert cache.get("b", lambda: 7) == cache.get("b", fail) == 7
        assert len(cache) == 1
        done.set()
        values = [one.result(SECONDS) for one in found]
    assert len(computed) == 1
    assert all(value is values[0] for value in values)


def test_a_computation_that_fails_leaves_nothing_and_nobody_waiting(cache):
    begun, done, computed = threading.Event(), threading.Event(), []

    def fails_first():
        computed.append(1)
        if len(computed) == 1:
            begun.set()
            assert done.wait(SECONDS)
            raise KeyError("first")
        return "second"

    with ThreadPoolExecutor(4) as threads:
        first = threads.submit(cache.get, "a", fails_first)
        assert begun.wait(SECONDS)
        others = [threads.submit(cache.get, "a", fails_first) for _ in range(3)]
        done.set()
        with pytest.raises(KeyError, match="first"):
            first.result(SECONDS)
        assert [one.result(SECONDS) for one in others] == ["second"] * 3
    assert len(computed) == 2
    assert cache.get("a", fail) == "second"


def test_a_keyboard_interrupt_is_a_failure_as_well(cache):
    def interrupted():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cache.get("a", interrupted)
    assert len(cache) == 0
    assert cache.get("a", lambda: 1) == 1


def test_clear_drops_also_what_is_being_computed(cache):
    begun, done = threading.Event(), threading.Event()

    def slow():
        begun.set()
        assert done.wait(SECONDS)
        return "old"

    cache.get("b", lambda: 1)
    with ThreadPoolExecutor(1) as threads:
        found = threads.submit(cache.get, "a", slow)
        assert begun.wait(SECONDS)
        cache.clear()
        assert len(cache) == 0
        # Who asks after it does not get what was begun before.
        assert cache.get("a", lambda: "new") == "new"
        done.set()
        assert found.result(SECONDS) == "old"
    assert cache.get("a", fail) == "new"


def test_the_one_of_the_package_can_be_cleared():
    PERTURBED_SAMPLES.put("a key of the tests", np.ones(3))
    clear_cache()
    assert len(PERTURBED_SAMPLES) == 0
