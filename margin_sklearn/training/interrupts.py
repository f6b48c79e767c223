"""Ctrl-C, put off where it would leave something half done."""

import functools
import math
import signal
import threading
from contextlib import contextmanager

import torch
from torch.utils.flop_counter import FlopCounterMode

__all__ = ["finish_import_of_torch", "interrupts_put_off"]


@contextmanager
def interrupts_put_off(most=math.inf):
    """Put off Ctrl-C to the end of the block.

    Signals reach the main thread only; in others this does nothing.

    Parameters
    ----------
    most : float, default=inf
        How often Ctrl-C is put off; one more takes effect at once.
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
    """Have torch import what its first optimizer and operation counter import.

    These are some 800 modules, which an interrupt would leave half imported: every later fit
    of the process would fail. Once, and not when this package is imported, which it would
    slow down.
    """
    with interrupts_put_off(), torch.inference_mode(False), torch.enable_grad():
        parameter = torch.nn.Parameter(torch.zeros(1, device="cpu"))
        optimizer = torch.optim.AdamW([parameter])
        with FlopCounterMode(display=False):
            (parameter * parameter).sum().backward()
        optimizer.step()
        optimizer.zero_grad()
