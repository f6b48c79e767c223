"""Learning-rate schedules that continue where they were when training continues."""

import copy
from contextlib import contextmanager

from skorch.callbacks import LRScheduler

__all__ = ["continued_schedule"]


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
