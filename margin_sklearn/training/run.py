"""TrainingRun: train one network, continue its training, and predict with it."""

from contextlib import closing, contextmanager, nullcontext

import torch
from skorch.callbacks import Callback, EpochTimer, LRScheduler, PrintLog

from ..data.batches import Samples
from ..data.precision import largest_value, refuse_large, warn_of_rounding
from ..exceptions import warn_caller
from ..runtime import (
    GeneratorStream,
    generator_state,
    recording,
    second_generator,
    seeded,
    torch_threads,
)
from .best_epoch import BestEpoch
from .build import build_net, callbacks_in_order, copied_callback, module_of
from .interrupts import finish_import_of_torch
from .margin_history import MarginHistory
from .progress_bar import ProgressBar
from .schedules import schedule_of
from .state import NetState
from .stopping import Separation
from .trial_runs import refuse_batch_norm, try_criterion, try_module

__all__ = ["TrainingRun"]

# An optimization step of fewer floating-point operations than this runs in one thread, so that
# the order of sums, and hence every bit, does not depend on the number of threads (n_jobs
# changes it). One thread is faster for small networks; near the limit, several would be.
ONE_THREAD_FLOPS = 2e9


class TrainingRun:
    """The training of one network: built from settings and data, continued on request.

    Parameters
    ----------
    settings : TrainingSettings
    X : ndarray or sparse matrix of shape (n_samples, ...)
        The first samples to train on; a few of them are used for a trial run.
    n_classes : int
    device : torch.device
    seed : int
        Seed of torch's generators.
    names : sequence of str, default=None
        Column names of X, for error messages.

    Attributes
    ----------
    net : MarginNet
    settings : TrainingSettings
        The settings of the last training.
    input_shape : tuple of int
        Shape of a sample.
    flops : float
        Floating-point operations of a forward pass per sample.
    margin_history : MarginHistory
    best_epoch : BestEpoch or None
    separation : Separation
    progress : ProgressBar or None
        The callbacks of this package.
    generators : list of torch.Tensor
        State of torch's generators at the end of training; the next training starts from it.
    order_state : torch.Tensor
        The same for the generator of the order of the samples, which nothing else draws from:
        dropout and callbacks do not change the order.
    """

    def __init__(self, settings, X, *, n_classes, device, seed, names=None):
        finish_import_of_torch()
        self.seed = seed
        self.input_shape = tuple(int(side) for side in X.shape[1:])
        with seeded(device, seed), recording():
            module = module_of(settings, self.input_shape, n_classes).to(device)
            dtype, self.flops = try_module(
                module, X, largest_value(X), n_classes, device, names
            )
            batch_size = settings.batch_size if settings.batch_size > 0 else X.shape[0]
            # A step is a forward pass plus a backward pass of twice as many operations.
            one_thread = 3 * self.flops * batch_size < ONE_THREAD_FLOPS
            n_threads = 1 if one_thread else None
            self.build(settings, module, n_classes, device, dtype, n_threads)
            try_criterion(self.net.criterion_, n_classes, device)
            self.generators = generator_state(device)
        self.order_state = second_generator(seed).get_state()

    def build(self, settings, module, n_classes, device, input_dtype, n_threads):
        """Build the callbacks, and the net around a module."""
        self.settings = settings
        self.margin_history = MarginHistory()
        self.best_epoch = None if settings.restore_best is None else BestEpoch()
        self.separation = Separation(self.margin_history, settings.stop, settings.share)
        self.progress = ProgressBar(self.best_epoch) if settings.verbose == 1 else None
        # Copies, because fit must not change constructor arguments.
        users = [copied_callback(entry) for entry in settings.callbacks or []]
        self.net = build_net(
            settings,
            module,
            callbacks_in_order(
                users,
                settings.verbose >= 2,
                first={
                    "margin_history": self.margin_history,
                    "best_epoch": self.best_epoch,
                },
                after={"progress_bar": self.progress},
                last={"separation": self.separation},
            ),
            n_classes=n_classes,
            device=device,
            input_dtype=input_dtype,
            n_threads=n_threads,
            records_batches=bool(users),
        )

    def _entry(self, callback):
        """The net's (name, callback) entry of a callback."""
        return next(entry for entry in self.net.callbacks_ if entry[1] is callback)

    @property
    def user_callbacks(self):
        """The net's (name, callback) entries of the user's callbacks."""
        ours = (self.margin_history, self.best_epoch, self.separation, self.progress)
        log = (EpochTimer, PrintLog) if self.settings.verbose >= 2 else ()
        return [
            entry
            for entry in self.net.callbacks_
            if not any(entry[1] is callback for callback in ours) and type(entry[1]) not in log
        ]

    def _others(self):
        """The (name, callback) entries called between margin history and separation."""
        ends = (self.margin_history, self.separation)
        return [
            entry
            for entry in self.net.callbacks_
            if not any(entry[1] is callback for callback in ends)
        ]

    @property
    def device(self):
        """The torch device that the module is on."""
        return torch.device(self.net.device)

    @property
    def interrupted(self):
        """Whether Ctrl-C ended the last training."""
        return self.net.interrupted_

    @property
    def n_epochs(self):
        """Number of completed epochs."""
        return sum("train_loss" in row for row in self.net.history)

    @property
    def lr(self):
        """The learning rate between two trainings: as set, or as a callback left it."""
        return self.net.optimizer_.param_groups[0]["lr"]

    # --- training -------------------------------------------------------------------

    def samples(self, X, class_index, weight, names=None):
        """Make the samples to train on, in the dtype and on the device of the network.

        Parameters
        ----------
        X : ndarray or sparse matrix of shape (n_samples, ...)
        class_index : ndarray of int of shape (n_samples,)
        weight : ndarray of shape (n_samples,) or None
        names : sequence of str, default=None
            Column names, for error messages.

        Returns
        -------
        samples : Samples

        Raises
        ------
        ValueError
            If values are too large for the network.
        """
        largest, dtype = largest_value(X), self.net.input_dtype
        refuse_large(X, largest, dtype, names)
        warn_of_rounding(X, largest, dtype, names)
        return Samples(X, class_index, weight, self.device, dtype)

    def fit(self, samples, epochs, *, watch=None, checkpoint=None):
        """Train for a number of epochs.

        Parameters
        ----------
        samples : Samples
        epochs : int
        watch : skorch.callbacks.Callback, default=None
            Called in this training only, as soon as the margins of an epoch are known: others
            may change the network or end training.
        checkpoint : Checkpoint, default=None
            Called last; the training resumes from it.

        Returns
        -------
        margins : ndarray of shape (n_samples,) or None
            Margins of the final network, if the separation check had to evaluate every
            sample.
        """
        watching = [] if watch is None else [("watch", watch)]
        n_steps = epochs * len(self.net.get_iterator(samples, training=True))
        schedule = schedule_of(self.settings, n_steps)
        scheduling = [] if schedule is None else [("lr_schedule", schedule)]
        callbacks = [
            self._entry(self.margin_history),
            *watching,
            *scheduling,
            *self._others(),
            # Last, because the others may change the network and this one may stop training.
            self._entry(self.separation),
        ]
        if checkpoint is None:
            return self._train(callbacks, samples, epochs, self.separation, schedule)
        stream = GeneratorStream(self.device, self.generators)
        checkpoint.prepare(self, samples, epochs, schedule, watch, stream)
        callbacks.append(("checkpoint", checkpoint))
        return self._train(
            callbacks, samples, epochs, self.separation, schedule, checkpoint, stream
        )

    def fit_guarded(self, samples, epochs, guard, *, freeze_batch_norm):
        """Continue training with a callback that selects samples and undoes bad epochs.

        Other callbacks are called too, except those that set learning rates or check
        separation.

        Parameters
        ----------
        samples : Samples
        epochs : int
        guard : skorch.callbacks.Callback
            Must have a method ``conclude(net, samples, weights_changed)`` that returns the
            margins of all samples, and ``last``, a callback to be called after the others,
            which may change the weights.
        freeze_batch_norm : bool

        Returns
        -------
        margins : ndarray of shape (n_samples,)
            Margins of the final network.
        """
        callbacks = [
            self._entry(self.margin_history),
            ("guard", guard),
            *(entry for entry in self._others() if not isinstance(entry[1], LRScheduler)),
            ("guard_last", guard.last),
        ]
        with self.net.guarded(freeze_batch_norm):
            margins = self._train(callbacks, samples, epochs, guard)
        self.separation.judge(margins)
        return margins

    def trained(self, samples, optimizer_state, order_state):
        """Adopt the end of a training that was made elsewhere, on the weights of the module.

        Parameters
        ----------
        samples : Samples
        optimizer_state : list of dict
            torch's state of each parameter.
        order_state : torch.Tensor
            State of the generator of the order of the samples.

        Raises
        ------
        ValueError
            If the network gives logits that are not finite.
        """
        optimizer = self.net.optimizer_
        for parameter, state in zip(
            self.net.module_.parameters(), optimizer_state, strict=True
        ):
            optimizer.state[parameter] = state
        self.net.interrupted_, self.net.max_epochs = False, self.n_epochs
        self.order_state = order_state
        self.net.evaluation_network()
        with recording(), self._threads():
            self.separation.conclude(self.net, samples, weights_changed=False)

    def _train(
        self, callbacks, samples, epochs, last, schedule=None, checkpoint=None, stream=None
    ):
        finish_import_of_torch()
        net = self.net
        if net.batch_size == 1 or len(samples) == 1:
            refuse_batch_norm(net.module_)
        weights_changed = self.best_epoch is not None or any(
            type(callback).on_train_end is not Callback.on_train_end
            for _, callback in self._others()
            if callback is not self.progress
        )
        order = torch.Generator()
        order.set_state(self.order_state)
        samples.draw_from(order)
        stream = stream or GeneratorStream(self.device, self.generators)
        with closing(stream), recording(), self._threads():
            try:
                with net.calling(callbacks), net.drawing(stream, self.user_callbacks):
                    with nullcontext() if samples.weight is None else net.weighting():
                        net.train(samples, epochs, getattr(checkpoint, "n_done", 0))
                    # After all callbacks, because they may have changed the weights.
                    with net.interrupts_noted():
                        if schedule is not None:
                            schedule.conclude(net)
                        if self.best_epoch is not None:
                            self.best_epoch.conclude(net)
                        margins = last.conclude(net, samples, weights_changed)
            finally:
                if self.progress is not None:
                    self.progress.close()
            self.generators = stream.state
            if checkpoint is not None and not self.interrupted:
                with net.interrupts_noted():
                    checkpoint.write()
        self.order_state = order.get_state()
        if self.interrupted:
            warn_caller(
                f"Training was interrupted after {self.n_epochs} epochs; the network is "
                "usable as trained so far. Call fit again to train for all epochs."
            )
        return margins

    def _threads(self):
        return torch_threads(self.net.n_threads if self.device.type == "cpu" else None)

    def restored(self, state, answers, epochs, best_epoch):
        """Adopt the state of an earlier training of the same network on the same samples.

        Parameters
        ----------
        state : NetState
            With history, and the generators: of the order of the samples, then torch's.
        answers : dict
            From ``separation.answers()``.
        epochs : int
            Epochs of the training.
        best_epoch : int or None
            That of ``restore_best``.
        """
        state.restore(self.net)
        self.order_state, *self.generators = state.generators
        self.net.interrupted_, self.net.max_epochs = False, epochs
        self.separation.restore(answers)
        if self.best_epoch is not None:
            self.best_epoch.epoch_ = best_epoch

    def update(self, settings):
        """Apply settings to the next training.

        Parameters
        ----------
        settings : TrainingSettings

        Raises
        ------
        ValueError
            If a setting has changed that must not change once the network is built.
        """
        changed = settings.changed_from(self.settings)
        if changed:
            raise ValueError(
                f"{', '.join(changed)} changed since the network was built, so training "
                "cannot continue from it: fit with warm_start=False."
            )
        decays_alike = settings.weight_decay == self.settings.weight_decay
        self.net.adopt(
            settings.lr,
            settings.batch_size,
            # Groups of parameters may have weight decays of their own.
            weight_decay=None if decays_alike else settings.weight_decay,
        )
        self.separation.adopt(settings.stop, settings.share)
        self.settings = settings

    @contextmanager
    def kept_on_error(self):
        """Restore the training to its state before the block if the block raises."""
        state = NetState.copy(self.net, history=True)
        parts = [self, self.net, *(callback for _, callback in self.net.callbacks_)]
        attributes = [(part, dict(vars(part))) for part in parts]
        try:
            yield
        except BaseException:
            for part, before in attributes:
                vars(part).clear()
                vars(part).update(before)
            state.restore(self.net)
            raise
