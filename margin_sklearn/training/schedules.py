"""Learning-rate schedules: by name, per batch, and the user's own across several trainings."""

import copy
import inspect
import math
from contextlib import contextmanager

import numpy as np
from skorch.callbacks import Callback, LRScheduler

__all__ = [
    "SCHEDULES",
    "Schedule",
    "continued_schedule",
    "learning_rate",
    "one_cycle",
    "rates_of_steps",
]

SCHEDULES = ("one_cycle", "constant")
# lr="auto": the peak of one cycle, and the rate where it is constant.
PEAK, CONSTANT = 1e-2, 1e-3
# One cycle: share of the steps before the peak; the first and the last rate relative to it.
# Those of torch's OneCycleLR.
RISING, FIRST, LAST = 0.3, 1 / 25, 1 / 250_000
# Arguments of torch's schedules that say how many steps they span.
LENGTHS = ("total_steps", "T_max", "total_iters")


def learning_rate(lr, schedule):
    """The learning rate that a schedule starts from or leads up to.

    Parameters
    ----------
    lr : float or "auto"
    schedule : str or type
        As for the ``lr_schedule`` of :class:`~margin_sklearn.MarginClassifier`.

    Returns
    -------
    lr : float

    Examples
    --------
    >>> from margin_sklearn.training.schedules import learning_rate
    >>> learning_rate("auto", "one_cycle"), learning_rate("auto", "constant")
    (0.01, 0.001)
    """
    if isinstance(lr, str):
        return PEAK if schedule == "one_cycle" else CONSTANT
    return lr


def one_cycle(n_steps):
    r"""Learning rates of one cycle, relative to its peak.

    The rate rises from 1/25 to 1 over the first 30 % of the steps and falls to 1/250,000 at
    the last one, both along half a cosine (Smith and Topin 2018, arXiv 1708.07120). They are
    the rates of ``torch.optim.lr_scheduler.OneCycleLR``, which costs more per step.

    Parameters
    ----------
    n_steps : int
        At least 1.

    Returns
    -------
    factors : ndarray of float64 of shape (n_steps,)

    Examples
    --------
    >>> from margin_sklearn.training.schedules import one_cycle
    >>> one_cycle(10).round(3)
    array([0.04 , 0.52 , 1.   , 0.95 , 0.812, 0.611, 0.389, 0.188, 0.05 , 0.   ])
    """
    if n_steps == 1:
        return np.ones(1)
    step = np.arange(n_steps)
    peak = RISING * n_steps - 1
    with np.errstate(divide="ignore", invalid="ignore"):
        rising = _half_cosine(FIRST, 1.0, step / peak)
    falling = _half_cosine(1.0, LAST, (step - peak) / (n_steps - 1 - peak))
    return np.where(step < peak, rising, falling)


def rates_of_steps(schedule, lr, n_steps):
    """Learning rates of the steps of a training.

    Parameters
    ----------
    schedule : {"one_cycle", "constant"}
    lr : float
    n_steps : int

    Returns
    -------
    rates : ndarray of float64 of shape (n_steps,)
    """
    return lr * one_cycle(n_steps) if schedule == "one_cycle" else np.full(n_steps, float(lr))


def _half_cosine(start, end, share):
    return end + (start - end) / 2 * (1 + np.cos(math.pi * share))


class Schedule(Callback):
    """Sets the learning rate of every step of one training; afterwards it is as before.

    Groups of parameters with a learning rate of their own have their own peak.

    Parameters
    ----------
    schedule : "one_cycle" or type
        A class of ``torch.optim.lr_scheduler``. Its arguments ``total_steps``, ``T_max`` and
        ``total_iters`` are the number of steps, and ``max_lr`` is the learning rate, unless
        they are given.
    arguments : dict
        Arguments of the class.
    n_steps : int
        Number of steps of the training.
    """

    def __init__(self, schedule, arguments, n_steps):
        self.schedule = schedule
        self.arguments = arguments
        self.n_steps = n_steps

    def on_train_begin(self, net, **kwargs):
        self.groups_ = net.optimizer_.param_groups
        self.before_ = [{**group} for group in self.groups_]
        self.step_, self.scheduler_ = 0, None
        if self.schedule == "one_cycle":
            # As Python floats: assigning them costs nothing per step.
            self.rates_ = [
                rates_of_steps(self.schedule, group["lr"], self.n_steps).tolist()
                for group in self.groups_
            ]
            self._set_rates()
        else:
            self.scheduler_ = self._build(net.optimizer_)

    def on_batch_end(self, net, training=False, **kwargs):
        self.step_ += training
        # torch's schedules of a fixed length refuse a step after the last one.
        if not training or self.step_ >= self.n_steps:
            return
        if self.scheduler_ is None:
            self._set_rates()
        else:
            self.scheduler_.step()

    def on_train_end(self, net, **kwargs):
        for group, before in zip(self.groups_, self.before_, strict=True):
            group.clear()
            group.update(before)

    def _set_rates(self):
        for group, rates in zip(self.groups_, self.rates_, strict=True):
            group["lr"] = rates[self.step_]

    def _build(self, optimizer):
        accepted = inspect.signature(self.schedule).parameters
        rates = [group["lr"] for group in optimizer.param_groups]
        known = {"max_lr": rates, **dict.fromkeys(LENGTHS, self.n_steps)}
        filled = {name: value for name, value in known.items() if name in accepted}
        if "epochs" in self.arguments or "steps_per_epoch" in self.arguments:
            filled.pop("total_steps", None)
        try:
            return self.schedule(optimizer, **{**filled, **self.arguments})
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"lr_schedule={self.schedule.__name__} cannot be built with "
                f"{self.arguments or 'no arguments'}: {error}. Pass its arguments as "
                "lr_schedule__NAME=…."
            ) from error


@contextmanager
def continued_schedule(callback, optimizer):
    """Continue a callback's earlier schedule after its ``on_train_begin``, run in the block.

    skorch's LRScheduler creates a new scheduler whenever training begins and passes it the
    number of past epochs. torch's schedulers then step once more for the last one: a decay at
    the end of an epoch is applied twice, and per-batch schedules start at the wrong step.

    Parameters
    ----------
    callback : skorch.callbacks.Callback
    optimizer : torch.optim.Optimizer
    """
    earlier = getattr(callback, "lr_scheduler_", None)
    if not isinstance(callback, LRScheduler) or earlier is None:
        yield
        return
    groups = [dict(group) for group in optimizer.param_groups]
    yield
    now = callback.lr_scheduler_
    state = copy.deepcopy(earlier.state_dict())
    if "_last_lr" in state:
        state["_last_lr"] = [group["lr"] for group in groups]
    now.load_state_dict(state)
    for group, before in zip(optimizer.param_groups, groups, strict=True):
        # Restores the learning rate and, for cyclic policies, the momentum.
        group.update(before)
    if hasattr(now, "base_lrs"):
        # warm_start may have changed lr.
        now.base_lrs = [group["initial_lr"] for group in groups]
