"""The mean of the weights of a module over training steps."""

from collections import defaultdict
from contextlib import contextmanager

import torch
from torch.optim.swa_utils import get_swa_multi_avg_fn

__all__ = ["AveragedWeights"]


class AveragedWeights:
    """The mean of a module's parameters over the steps so far (Izmailov et al. 2018).

    :class:`torch.optim.swa_utils.AveragedModel` does the same with a deep copy of the module,
    which not every module allows, and copies buffers, whose size may follow the batch. Here
    the module itself takes the means, for as long as they are needed.

    Parameters
    ----------
    module : torch.nn.Module
        Its floating-point parameters are averaged.

    Attributes
    ----------
    n : int
        Number of steps.

    Examples
    --------
    >>> import torch
    >>> from margin_sklearn.training.averaged_weights import AveragedWeights
    >>> module = torch.nn.Linear(1, 1, bias=False)
    >>> averaged = AveragedWeights(module)
    >>> for value in (1.0, 2.0, 6.0):
    ...     _ = torch.nn.init.constant_(module.weight, value)
    ...     averaged.add()
    >>> with averaged.applied():
    ...     print(module.weight.item())
    3.0
    >>> module.weight.item()
    6.0
    """

    def __init__(self, module):
        self.n = 0
        self._parameters = [p for p in module.parameters() if p.is_floating_point()]
        self._means = [p.detach().clone() for p in self._parameters]
        self._add = get_swa_multi_avg_fn()
        # One operation for all parameters of a kind.
        kinds = defaultdict(list)
        for place, p in enumerate(self._parameters):
            kinds[p.device, p.dtype].append(place)
        self._kinds = list(kinds.values())

    def add(self):
        """Take in the present weights."""
        with torch.no_grad():
            for places in self._kinds:
                means = [self._means[place] for place in places]
                self._add(
                    means, [self._parameters[place].detach() for place in places], self.n
                )
        self.n += 1

    def apply(self):
        """Give the module the means, if there was a step."""
        if self.n:
            self._set(self._means)

    @contextmanager
    def applied(self):
        """Within the block, the module has the means, if there was a step."""
        before = [p.detach().clone() for p in self._parameters]
        self.apply()
        try:
            yield
        finally:
            self._set(before)

    def state(self):
        """A copy of the means, for :meth:`restore`."""
        return self.n, [mean.clone() for mean in self._means]

    def restore(self, state):
        """Go back to an earlier :meth:`state`."""
        self.n = state[0]
        for mean, kept in zip(self._means, state[1], strict=True):
            mean.copy_(kept)

    def _set(self, values):
        with torch.no_grad():
            for parameter, value in zip(self._parameters, values, strict=True):
                parameter.copy_(value)
