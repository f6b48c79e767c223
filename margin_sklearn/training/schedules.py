"""Learning-rate schedules: by name, per batch, and the user's own across several trainings."""

import copy
import inspect
import math
from contextlib import contextmanager

import numpy as np
import torch
from skorch.callbacks import Callback, LRScheduler

__all__ = [
    "SCHEDULES",
    "Schedule",
    "continued_schedule",
    "learning_rate",
    "one_cycle",
    "rates_of_steps",
    "schedule_of",
]

SCHEDULES = ("one_cycle", "constant")
# lr="auto": the peak of one cycle, and the rate where it is constant.
PEAK, CONSTANT = 1e-2, 1e-3
# One cycle: share of the steps before the peak; the first and the last rate relative to it.
# Those of torch's OneCycleLR.
RISING, FIRST, LAST = 0.3, 1 / 25, 1 / 250_000
# Arguments of torch's schedules that say how many steps they span.
LENGTHS = ("total_steps", "T_max", "total_iters")
# What torch's schedules set in a group of parameters.
SCHEDULED = (
    "lr",
    "initial_lr",
    "max_lr",
    "min_lr",
    "momentum",
    "betas",
    "max_momentum",
    "base_momentum",
)


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
    if not isinstance(lr, str):
        return float(lr)
    if isinstance(schedule, type):
        one_cycle = issubclass(schedule, torch.optim.lr_scheduler.OneCycleLR)
    else:
        one_cycle = schedule == "one_cycle"
    return PEAK if one_cycle else CONSTANT


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
    """Sets the learning rate of every step of one training.

    Groups of parameters with a learning rate of their own have their own peak; those that are
    added during training have the rate with which they are added as their peak.

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
        # Callbacks may load another state into the optimizer, which replaces its groups: they
        # are not kept here.
        self.before_ = [_scheduled(group) for group in net.optimizer_.param_groups]
        self.step_, self.scheduler_ = 0, None
        if self.schedule == "one_cycle":
            # As Python floats: assigning them costs nothing per step.
            self.factors_ = one_cycle(self.n_steps).tolist()
            self._set_rates(net.optimizer_)
        else:
            self.scheduler_ = self._built(net.optimizer_)

    def on_batch_end(self, net, training=False, **kwargs):
        self.step_ += training
        # torch's schedules of a fixed length refuse a step after the last one.
        if not training or self.step_ >= self.n_steps:
            return
        if self.scheduler_ is None:
            self._set_rates(net.optimizer_)
        else:
            with self._explained(net.optimizer_):
                self.scheduler_.step()

    def kept(self):
        """The position in the schedule.

        Returns
        -------
        state : dict
        """
        scheduler = self.scheduler_
        return {
            "step": self.step_,
            "scheduler": None if scheduler is None else scheduler.state_dict(),
        }

    def take_up(self, state):
        """Continue from a position, from :meth:`kept`; the optimizer has its rates already."""
        self.step_ = state["step"]
        if self.scheduler_ is not None:
            self.scheduler_.load_state_dict(state["scheduler"])

    def conclude(self, net):
        """Set learning rates and momenta as before the training, after all callbacks."""
        for group, before in zip(net.optimizer_.param_groups, self.before_, strict=False):
            for name in SCHEDULED:
                group.pop(name, None)
            group.update(before)

    def _set_rates(self, optimizer):
        groups = optimizer.param_groups
        self.before_ += [_scheduled(group) for group in groups[len(self.before_) :]]
        for group, before in zip(groups, self.before_, strict=True):
            group["lr"] = before["lr"] * self.factors_[self.step_]

    def _built(self, optimizer):
        accepted = inspect.signature(self.schedule).parameters
        rates = [group["lr"] for group in optimizer.param_groups]
        known = {"max_lr": rates, **dict.fromkeys(LENGTHS, self.n_steps)}
        filled = {name: value for name, value in known.items() if name in accepted}
        if "epochs" in self.arguments or "steps_per_epoch" in self.arguments:
            filled.pop("total_steps", None)
        if self.schedule is torch.optim.lr_scheduler.ConstantLR:
            # Its total_iters is where the rate changes, not where it ends.
            filled.pop("total_iters", None)
        with self._explained(optimizer):
            return self.schedule(optimizer, **{**filled, **self.arguments})

    @contextmanager
    def _explained(self, optimizer):
        """Name the parameter in the errors of torch's schedules; refuse impossible rates."""
        problem, cause = None, None
        try:
            yield
        except Exception as error:  # torch's schedules raise anything
            reason, cause = str(error) or type(error).__name__, error
            doing = "cannot be built" if self.scheduler_ is None else "fails"
            problem = f"{doing}: {reason}"
        else:
            for rate in [float(group["lr"]) for group in optimizer.param_groups]:
                if not 0 <= rate < math.inf:
                    problem = f"gives the learning rate {rate} in step {self.step_ + 1}"
        if problem is not None:
            given = f" with {self.arguments}" if self.arguments else ""
            raise ValueError(
                f"lr_schedule={self.schedule.__name__}{given} {problem}. The fit makes "
                f"{self.n_steps} steps, one per batch. Arguments of the schedule are set as "
                "lr_schedule__NAME=…."
            ) from cause


def schedule_of(settings, n_steps):
    """The callback that sets the learning rates of one training.

    Parameters
    ----------
    settings : TrainingSettings
    n_steps : int
        Number of steps of the training.

    Returns
    -------
    schedule : Schedule or None
        None if the rate is constant.
    """
    if settings.lr_schedule == "constant":
        return None
    return Schedule(settings.lr_schedule, settings.of_part("lr_schedule"), n_steps)


def _scheduled(group):
    """What a schedule may change in a group of parameters."""
    return {name: group[name] for name in SCHEDULED if name in group}


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
