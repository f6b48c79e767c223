"""Defer Ctrl-C where it would leave work half done; elsewhere it ends training at once."""

import functools
import math
import signal
import threading
from contextlib import contextmanager

import torch
from torch.utils.flop_counter import FlopCounterMode

__all__ = ["finish_import_of_torch", "interrupts_put_off", "noted_interrupts"]


@contextmanager
def interrupts_put_off(most=math.inf):
    """Defer Ctrl-C to the end of the block.

    Signals reach the main thread only; in other threads this does nothing.

    Parameters
    ----------
    most : float, default=inf
        How many times Ctrl-C is deferred; the next one takes effect immediately.
    """
    before = None
    if threading.current_thread() is threading.main_thread():
        before = signal.getsignal(signal.SIGINT)
    if before in (None, signal.SIG_IGN):
        yield
        return
    pressed = 0

    def note(number, frame):
        nonlocal pressed
        pressed += 1
        if pressed > most:
            pressed = 0
            signal.signal(signal.SIGINT, before)
            signal.raise_signal(signal.SIGINT)

    signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if pressed:
            signal.raise_signal(signal.SIGINT)


@functools.cache
def finish_import_of_torch():
    """Make torch import the modules that its first optimizer and operation counter need.

    These are some 800 modules. An interrupt would leave them half imported, and every later
    fit in the process would fail. This runs once, and not when this package is imported,
    because it would slow down the import.
    """
    with interrupts_put_off(), torch.inference_mode(False), torch.enable_grad():
        parameter = torch.nn.Parameter(torch.zeros(1, device="cpu"))
        optimizer = torch.optim.AdamW([parameter])
        with FlopCounterMode(display=False):
            (parameter * parameter).sum().backward()
        optimizer.step()
        optimizer.zero_grad()


@contextmanager
def noted_interrupts():
    """Note whether Ctrl-C is pressed in the block, which takes effect as usual.

    Fits of networks end early when Ctrl-C is pressed and return as if they were finished
    (MarginClassifier, skorch, MLPClassifier), so who runs many fits would not hear of it.

    Yields
    ------
    pressed : callable
        ``pressed()`` is True after Ctrl-C; always False in other threads than the main one,
        which signals do not reach.
    """
    before = None
    if threading.current_thread() is threading.main_thread():
        before = signal.getsignal(signal.SIGINT)
    seen = False
    if not callable(before):
        yield lambda: seen
        return

    def note(number, frame):
        nonlocal seen
        seen = True
        before(number, frame)

    signal.signal(signal.SIGINT, note)
    try:
        yield lambda: seen
    finally:
        signal.signal(signal.SIGINT, before)
