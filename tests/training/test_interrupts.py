"""Ctrl-C at bad moments leaves a process, and an estimator, that can go on."""

import signal
import subprocess
import sys
import textwrap
import threading

import numpy as np
import pytest
from skorch.callbacks import Callback

from margin_sklearn import MarginClassifier
from margin_sklearn.training.interrupts import interrupts_put_off, noted_interrupts

# Interrupts itself from a thread as soon as a module that the first optimizer of a process
# imports has begun to be imported; then fits.
FIRST_FIT = """
import _thread, signal, sys, threading, time
import numpy as np
from margin_sklearn import MarginClassifier

X, y = np.random.default_rng(0).normal(size=(60, 3)), np.arange(60) % 2
watched, delay = sys.argv[1], float(sys.argv[2])
assert watched not in sys.modules

def interrupt():
    while watched not in sys.modules:
        time.sleep(0.0005)
    time.sleep(delay)
    signal.raise_signal(signal.SIGINT)

threading.Thread(target=interrupt, daemon=True).start()
estimator = MarginClassifier(max_epochs=2, random_state=0, device="cpu")
try:
    estimator.fit(X, y)
    print("fitted")
except KeyboardInterrupt:
    print("interrupted", hasattr(estimator, "net_"))
time.sleep(0.1)
a = estimator.fit(X, y).predict_proba(X)
assert (a == MarginClassifier(max_epochs=2, random_state=0, device="cpu").fit(X, y)
        .predict_proba(X)).all()
print("works")
"""


@pytest.mark.parametrize(("module", "delay"), [("torch._dynamo", 0.0), ("sympy", 0.05)])
def test_the_first_fit_of_a_process_can_be_interrupted(module, delay):
    """torch's imports are finished first: half imported, they would fail for ever."""
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(FIRST_FIT), module, str(delay)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines() == ["interrupted False", "works"], result.stdout


def test_importing_the_package_does_not_import_what_can_wait():
    code = "import sys, margin_sklearn; print('torch._dynamo' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.strip() == "False"


def test_an_interrupt_is_put_off_not_lost():
    done = []
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):  # noqa: PT012
        with interrupts_put_off():
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
            done.append(1)
        done.append(2)
    assert done == [1]
    assert signal.getsignal(signal.SIGINT) is before
    with pytest.raises(KeyboardInterrupt), interrupts_put_off(most=1):  # noqa: PT012
        signal.raise_signal(signal.SIGINT)
        done.append(3)
        signal.raise_signal(signal.SIGINT)
        done.append(4)
    assert done == [1, 3]
    assert signal.getsignal(signal.SIGINT) is before


def test_other_threads_are_left_alone():
    def work():
        with interrupts_put_off():
            seen.append(signal.getsignal(signal.SIGINT))

    seen: list = []
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [signal.getsignal(signal.SIGINT)]


class PressAtEnd(Callback):
    """A user who presses Ctrl-C when training is ending."""

    times = 1

    def on_train_end(self, net, **kwargs):
        for _ in range(self.times):
            signal.raise_signal(signal.SIGINT)


def test_an_interrupt_when_training_ends_keeps_the_network(digits):
    X, y = digits
    settings = {"max_epochs": 3, "random_state": 0, "device": "cpu"}
    plain = MarginClassifier(**settings, restore_best="margin_auc").fit(X, y)
    estimator = MarginClassifier(
        **settings, restore_best="margin_auc", callbacks=[PressAtEnd()]
    )
    with pytest.warns(UserWarning, match="interrupted after 3 epochs"):
        estimator.fit(X, y)
    np.testing.assert_array_equal(estimator.predict_proba(X), plain.predict_proba(X))
    assert estimator.best_epoch_ == plain.best_epoch_
    assert estimator.separated_ == plain.separated_


def test_who_insists_gets_out_and_the_estimator_is_as_before(digits, monkeypatch):
    X, y = digits
    monkeypatch.setattr(PressAtEnd, "times", 2)
    estimator = MarginClassifier(max_epochs=1, device="cpu", callbacks=[PressAtEnd()])
    with pytest.raises(KeyboardInterrupt):
        estimator.fit(X, y)
    assert not hasattr(estimator, "net_")


def test_an_interrupt_is_noted_and_takes_effect():
    before = signal.getsignal(signal.SIGINT)
    with noted_interrupts() as pressed:
        assert not pressed()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        assert pressed()
    assert signal.getsignal(signal.SIGINT) is before
