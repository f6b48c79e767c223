"""Training of many networks of one architecture as one: each with settings of its own."""

import copy
import math

import joblib
import numpy as np
import torch

from ..adapters.network import logit_margins
from ..data.batches import GATHERED
from ..data.rows import chunk_length
from ..nn.losses import CRITERIA
from ..nn.stacked_layers import layers_key
from ..nn.stacked_modules import StackedModules, architecture
from ..runtime import recording, seeded, torch_threads
from .margin_history import note_margins
from .schedules import SCHEDULES, rates_of_steps
from .stacked_optimizers import optimizer_key, stacked_optimizer
from .stacked_steps import steps_for

__all__ = ["StackedTraining", "stack_key"]


def stack_key(run, samples, epochs):
    """What trainings must have in common to be stacked, or None.

    Learning rate, named schedule, weight decay, share of dropout, seed, order of the samples,
    the samples themselves and their weights may differ.

    Parameters
    ----------
    run : TrainingRun
        Not yet trained.
    samples : Samples
    epochs : int

    Returns
    -------
    key : tuple or None
        None if this training cannot be stacked: with callbacks of the user's,
        ``restore_best``, a stop at separation, sparse or streamed samples, a criterion,
        optimizer or schedule that is not one of the named ones, or a loss with class weights
        of its own.
    """
    settings, net = run.settings, run.net
    if (
        settings.callbacks
        or settings.restore_best is not None
        or settings.stop
        or settings.verbose
        or settings.lr_schedule not in SCHEDULES
        or not samples.resident
        or samples.dtype != torch.float32
        or len(net.history)
        or len(samples) < 2
        or settings.batch_size == 1
    ):
        return None
    optimizer, criterion = optimizer_key(net.optimizer_), _criterion_key(net.criterion_)
    try:
        origin = id(settings.module), joblib.hash(settings.of_part("module"))
    except Exception:  # objects that cannot be pickled raise anything
        return None
    network = architecture(net.module_, origin)
    if optimizer is None or criterion is None or network is None:
        return None
    return (
        network,
        optimizer,
        criterion,
        epochs,
        settings.batch_size,
        net.n_classes,
        samples.shape,
        samples.weight is None,
        str(samples.device),
        settings.share,
    )


def _criterion_key(criterion):
    """Class and options of a named criterion whose batch loss is the mean of the losses."""
    if type(criterion) not in CRITERIA.values() or criterion.reduction != "mean":
        return None
    if getattr(criterion, "weight", None) is not None:
        return None
    if getattr(criterion, "ignore_index", -1) >= 0:  # the mean is over the other classes
        return None
    return type(criterion), getattr(criterion, "label_smoothing", None)


class StackedTraining:
    """Train several networks with the same :func:`stack_key`, from their first epoch.

    Each starts from its own weights and takes the samples in the same order as by itself, with
    its own learning rate, schedule and weight decay. Dropout is drawn for all of them at once,
    so with dropout the networks differ from those trained one by one, at random.

    Parameters
    ----------
    runs : list of TrainingRun
        Changed as by their own ``fit``.
    samples : list of Samples
        Those of each run; runs may share an object.
    epochs : int
    watches : list of EpochWatch or None, default=None
        One for each run, which sees its margins.
    """

    def __init__(self, runs, samples, epochs, watches=None):
        self.watches = [] if watches is None else watches
        self.runs, self.samples, self.epochs = runs, samples, epochs
        self.device = runs[0].device
        self.n = len(samples[0])
        # The batches of the net's own training.
        self.starts = runs[0].net.get_iterator(samples[0], training=True).starts()
        self._gather_from(samples)
        criterion = copy.copy(runs[0].net.criterion_)
        criterion.reduction = "none"
        self.criterion = criterion
        self.orders = [torch.Generator() for _ in runs]
        for order, run in zip(self.orders, runs, strict=True):
            order.set_state(run.order_state)
        self.lr = np.array([run.lr for run in runs])
        # Shape of the schedule of each run.
        self.curves = [
            rates_of_steps(run.settings.lr_schedule, 1.0, epochs * len(self.starts))
            for run in runs
        ]

    def _gather_from(self, samples):
        """Put different samples below each other; note where those of each run begin."""
        different, starts, start = [], {}, 0
        for part in samples:
            if id(part) not in starts:
                starts[id(part)] = start
                start += len(part)
                different.append(part)
        self.first = torch.tensor([starts[id(part)] for part in samples]).unsqueeze(1)

        def below(parts):
            return parts[0] if len(parts) == 1 else torch.cat(parts)

        self.X = below([part.X for part in different])
        self.y = below([part.y for part in different])
        weights = [part.weight for part in different]
        self.weight = None if weights[0] is None else below(weights)

    def agrees(self):
        """Whether stacked networks compute what each of them computes; nothing changes.

        Returns
        -------
        same : bool
        """
        with seeded(self.device, seed=0), recording():
            if layers_key(self.runs[0].net.module_) is not None:
                return True
            stack = StackedModules([run.net.module_ for run in self.runs])
            return stack.agrees(self.X[:2])

    def fit(self):
        """Train all epochs.

        Returns
        -------
        errors : list of ValueError or None
            One per run: why its training failed, as its own ``fit`` would have raised it.
        """
        self.errors: list = [None] * len(self.runs)
        stack = StackedModules([run.net.module_ for run in self.runs])
        optimizer = stacked_optimizer([run.net.optimizer_ for run in self.runs], stack.flat)
        steps = steps_for(
            stack,
            optimizer,
            self.criterion,
            (self.X, self.y, self.weight),
            self.starts,
            self.epochs,
        )
        threads = self.runs[0].net.n_threads if self.device.type == "cpu" else None
        for watch in self.watches:
            watch.begin(self.epochs)
        stack.bind()
        try:
            with (
                seeded(self.device, state=self.runs[0].generators),
                recording(),
                torch_threads(threads),
            ):
                for epoch in range(self.epochs):
                    self._epoch(steps, epoch)
                self._check_again(stack)
        finally:
            stack.release()
        for k, run in enumerate(self.runs):
            if self.errors[k] is None:
                state = optimizer.state(k, stack.parts)
                try:
                    run.trained(self.samples[k], state, self.orders[k].get_state())
                except ValueError as error:
                    self.errors[k] = error
        return self.errors

    def _epoch(self, steps, epoch):
        order = torch.stack([torch.randperm(self.n, generator=each) for each in self.orders])
        order = order.add_(self.first).to(self.device)
        here = slice(epoch * len(self.starts), (epoch + 1) * len(self.starts))
        rates = self.lr * np.stack([curve[here] for curve in self.curves], axis=1)
        steps.optimizer.begin_epoch(rates)
        losses, logits = zip(*steps.epoch(order), strict=True)
        found = torch.cat(logits, dim=1)
        margins = self._margins(found, self.y[order])
        places = order - self.first.to(order.device)
        for k, watch in enumerate(self.watches):
            watch.add(places[k], margins[k], found[k] if watch.wants_logits else None)
        self._record(torch.stack(losses), margins)
        self._check_separation(steps.stack, order, margins)

    @staticmethod
    def _margins(logits, y):
        return logit_margins(logits.flatten(0, 1), y.flatten()).view(y.shape)

    def _record(self, losses, margins):
        """Add a row to the history of each run; note the runs that diverged."""
        sizes = np.diff([*self.starts, self.n])
        mean_loss = np.average(losses.double().cpu().numpy(), axis=0, weights=sizes)
        for k, run in enumerate(self.runs):
            if self.errors[k] is None:
                self.errors[k] = _note_epoch(run.net, float(mean_loss[k]), len(sizes))
        note_margins(
            [
                run.net if error is None else None
                for run, error in zip(self.runs, self.errors, strict=True)
            ],
            margins,
        )

    def _check_separation(self, stack, order, margins):
        """As :class:`~margin_sklearn.training.stopping.Separation`, most of it at once."""
        open_ = [
            k
            for k, run in enumerate(self.runs)
            if self.errors[k] is None and not run.separation.separated_
        ]
        if not open_:
            return
        n_suspects, allowed = self.runs[0].separation.n_suspects(self.n)
        few = margins.topk(n_suspects, largest=False).indices
        suspects = order.gather(1, few)
        with torch.no_grad():
            logits = stack.logits(self.X[suspects])
        wrong = ~(self._margins(logits, self.y[suspects]) > 0)
        passed = (wrong.sum(dim=1) <= allowed).tolist()
        finite = logits.isfinite().flatten(1).all(dim=1).tolist()
        pays = self._pays_together(sum(passed[k] for k in open_))
        together = self._all_margins(stack) if pays else None
        for k in open_:
            net, separation = self.runs[k].net, self.runs[k].separation
            if passed[k] and together is not None:
                separation.note_margins(net, together[k])
                continue
            rows = (
                (order[k] - self.first[k].item())[margins[k].argsort()] if passed[k] else None
            )
            separation.note_suspects(net, self.samples[k], rows, finite[k])

    def _check_again(self, stack):
        """Answer at the end for those that were separated before the last epoch."""
        separations = [run.separation for run in self.runs]
        old = [
            k
            for k, run in enumerate(self.runs)
            if self.errors[k] is None and separations[k].known_at_ != len(run.net.history)
        ]
        if self._pays_together(len(old)):
            margins = self._all_margins(stack)
            for k in old:
                separations[k].note_margins(self.runs[k].net, margins[k])

    def _pays_together(self, n):
        """Whether to evaluate all networks where n have to be evaluated."""
        # One pass for all takes a GPU as long as one for a single network.
        return n >= (len(self.runs) / 2 if self.device.type == "cpu" else 2)

    def _all_margins(self, stack):
        """Margins of all samples in evaluation mode, of shape (n_networks, n_samples)."""
        rows = (self.first + torch.arange(self.n)).to(self.device)
        n_together = chunk_length(len(rows) * math.prod(self.X.shape[1:]), limit=GATHERED)
        if self.device.type != "cpu":
            # Few large chunks; a step of training takes more memory per sample.
            n_together = max(n_together, 4 * int(np.diff([*self.starts, self.n]).max()))
        found = []
        for chunk in rows.split(n_together, dim=1):
            with torch.no_grad():
                found.append(self._margins(stack.logits(self.X[chunk]), self.y[chunk]))
        return torch.cat(found, dim=1).cpu().numpy()


def _note_epoch(net, loss, n_batches):
    """Add an epoch to the history, as skorch's loop does; the error if training diverged."""
    net.history.new_epoch()
    net.history.record("epoch", len(net.history))
    error = net.divergence(loss)
    if error is None:
        net.history.record("train_loss", loss)
        net.history.record("train_batch_count", n_batches)
    return error
