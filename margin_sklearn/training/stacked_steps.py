"""The steps of stacked networks: one by one, or on a GPU recorded once and repeated."""

import math
from collections import Counter
from itertools import pairwise

import numpy as np
import torch

from ..data.batches import GATHERED

__all__ = ["RecordedSteps", "StackedSteps", "steps_for"]

# Steps of one batch size before they are recorded: torch prepares its operations in the first.
STEPS_BEFORE_RECORDING = 2
# Recording takes as long as some tens of steps.
FEWEST_RECORDED = 50


def steps_for(stack, optimizer, criterion, data, starts, epochs):
    """Steps of the kind that is fastest on the device of the samples.

    Parameters
    ----------
    stack, optimizer, criterion, data, starts
        As for :class:`StackedSteps`.
    epochs : int

    Returns
    -------
    steps : StackedSteps
    """
    device = data[0].device
    # Any other module may take numbers from Python in every call, which would be repeated.
    if device.type != "cuda" or not stack.layered:
        return StackedSteps(stack, optimizer, criterion, data, starts)
    return RecordedSteps(
        stack, optimizer, criterion, data, starts, epochs, CUDAGraphs(device).record
    )


class StackedSteps:
    """Training steps of stacked networks, one operation after another.

    Parameters
    ----------
    stack : StackedModules
    optimizer : StackedAdam or StackedSGD
        Of the weights of the stack.
    criterion : torch.nn.Module
        Losses of single samples.
    data : tuple of (torch.Tensor, torch.Tensor, torch.Tensor or None)
        Inputs, class indices and weights of all samples.
    starts : list of int
        Position of the first sample of each batch, in the order of an epoch.
    """

    def __init__(self, stack, optimizer, criterion, data, starts):
        self.stack, self.optimizer, self.criterion = stack, optimizer, criterion
        self.data, self.starts = data, starts
        self.gradients = torch.zeros_like(stack.flat)

    def epoch(self, order):
        """Make the steps of an epoch.

        Parameters
        ----------
        order : torch.Tensor of int64 of shape (n_networks, n_samples)
            Row indices of the samples of each network.

        Yields
        ------
        losses : torch.Tensor of shape (n_networks,)
            Of the batch of each network, before the step.
        logits : torch.Tensor of shape (n_networks, n_in_batch, n_classes)
        """
        cuts = [*self.starts, order.shape[1]]
        width = max(1, math.prod(self.data[0].shape[1:]))
        together = max(1, GATHERED // (len(order) * int(np.diff(cuts).max()) * width))
        for first in range(0, len(self.starts), together):
            near = cuts[first : first + together + 1]
            batches = self._rows(order[:, near[0] : near[-1]])
            for start, stop in pairwise(cut - near[0] for cut in near):
                yield self._step(
                    *(None if each is None else each[:, start:stop] for each in batches)
                )

    def _rows(self, index):
        """Inputs, class indices and weights of some samples."""
        return [None if each is None else each[index] for each in self.data]

    def _step(self, x, y, weight):
        self.optimizer.advance()
        return self._operations(x, y, weight)

    def _operations(self, x, y, weight):
        """What is done on the device in a step; nothing else changes."""
        logits = self.stack.logits(x, training=True)
        losses = self.criterion(logits.flatten(0, 1), y.flatten()).view(y.shape)
        losses = (losses if weight is None else losses * weight).mean(dim=1)
        self.stack.gradients(losses.sum(), self.gradients)
        self.optimizer.step(self.gradients)
        return losses.detach(), logits.detach()


class RecordedSteps(StackedSteps):
    """Steps whose operations are recorded, and then launched all at once.

    A step of small networks on a GPU is mostly the time of launching its operations.

    Parameters
    ----------
    stack, optimizer, criterion, data, starts
        As for :class:`StackedSteps`.
    epochs : int
    record : callable
        ``record(function) -> (replay, results)``: ``replay()`` does again what the function
        did, with the present values of the same tensors, and writes the same results. It
        raises a RuntimeError if the function cannot be recorded.
    """

    def __init__(self, stack, optimizer, criterion, data, starts, epochs, record):
        super().__init__(stack, optimizer, criterion, data, starts)
        self.epochs, self.record = epochs, record
        self.recorded: dict[int, tuple] = {}
        self.made: Counter = Counter()
        self.records = True

    def epoch(self, order):
        """Make the steps of an epoch; see :meth:`StackedSteps.epoch`."""
        cuts = [*self.starts, order.shape[1]]
        n_of_size = Counter(np.diff(cuts).tolist())
        for start, stop in pairwise(cuts):
            index, size = order[:, start:stop], stop - start
            self.made[size] += 1
            often = n_of_size[size] * self.epochs >= FEWEST_RECORDED
            if often and self.records and self.made[size] > STEPS_BEFORE_RECORDING:
                found = self._repeated(index)
                if found is not None:
                    yield found
                    continue
            yield self._step(*self._rows(index))

    def _repeated(self, index):
        """Make a recorded step; None if it cannot be recorded."""
        size = index.shape[1]
        if size not in self.recorded:
            place = index.clone()
            try:
                replay, results = self.record(lambda: self._operations(*self._rows(place)))
            except RuntimeError:
                # Nothing was computed. Earlier recordings have another generator's state.
                self.records = False
                self.recorded.clear()
                return None
            self.recorded[size] = place, replay, results
        place, replay, results = self.recorded[size]
        place.copy_(index)
        self.optimizer.advance()
        replay()
        losses, logits = results
        return losses.clone(), logits.clone()


# One per device: torch keeps some megabytes for every stream that computed products.
_STREAMS: dict[int, torch.cuda.Stream] = {}


class CUDAGraphs:
    """Records operations on a GPU as CUDA graphs.

    Parameters
    ----------
    device : torch.device
    """

    def __init__(self, device):
        self.device = device

    def record(self, function):
        """Record what a function does on the device, without doing it.

        Parameters
        ----------
        function : callable
            Returns tensors.

        Returns
        -------
        replay : callable
        results : object
            What the function returned; ``replay()`` writes these tensors.
        """
        with torch.cuda.device(self.device):
            number = torch.cuda.current_device()
            if number not in _STREAMS:
                _STREAMS[number] = torch.cuda.Stream(number)
            state, stream = torch.cuda.get_rng_state(number), torch.cuda.current_stream()
            graph = torch.cuda.CUDAGraph()
            try:
                # Other threads may use the GPU meanwhile.
                with torch.cuda.graph(
                    graph,
                    stream=_STREAMS[number],
                    capture_error_mode="thread_local",
                ):
                    results = function()
            except BaseException:
                # torch would stay on the other stream, and take its generator for recorded.
                torch.cuda.set_stream(stream)
                fresh = torch.Generator(device=self.device)
                generator = torch.cuda.default_generators[number]
                generator.graphsafe_set_state(fresh.graphsafe_get_state())
                torch.cuda.set_rng_state(state, number)
                raise
        return graph.replay, results
