"""The skorch net inside MarginClassifier."""

import inspect
import math
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
from sklearn.base import ClassifierMixin
from skorch import NeuralNet
from skorch.callbacks import Callback
from skorch.exceptions import SkorchException

from ..adapters.network import Network, full_precision
from ..nn.layer_kinds import is_batch_norm
from ..nn.randomness import draws_in_forward_only
from ..nn.weighted_loss import combination
from .interrupts import interrupts_put_off
from .monitored_scores import explain_monitor
from .pickling import state_for_pickling, state_for_training
from .schedules import continued_schedule
from .stopping import StopTraining

__all__ = ["MarginNet"]


class MarginNet(ClassifierMixin, NeuralNet):
    """skorch's NeuralNet for batches of ``(x, (y, weight))`` and modules that return logits.

    It differs from its parent where the parent is slow on small networks or waits for a GPU
    in every step. Losses are read once per epoch. Modules switch between training and
    evaluation mode only when the mode changes. The history has a row per batch only with
    ``records_batches``, because user callbacks may need it. Callbacks see batches as pairs of
    inputs and class indices, and a net that predicts class indices.

    Parameters
    ----------
    *args
        As for :class:`skorch.NeuralNet`.
    n_classes : int, default=2
    input_dtype : torch.dtype, default=torch.float32
        Dtype of the module's input.
    n_threads : int or None, default=None
        Number of CPU threads; None keeps torch's setting.
    records_batches : bool, default=False
        Whether the history has a row per batch.
    **kwargs
        As for :class:`skorch.NeuralNet`.
    """

    lr: float
    # Submodules that stay in evaluation mode during training.
    _frozen: tuple = ()
    # Whether a loss that is not finite raises an error.
    _must_converge = True
    # Combines weighted losses into one, during training with weights.
    _combine: Any = None
    _plain_zero_grad = False
    # What the forward pass draws random numbers from.
    _stream: Any = nullcontext()
    # Names of the settings that the user gave to each group of parameters.
    _own_settings: Any = ()
    # Whether fused=True was chosen by this package, so that a sparse gradient may undo it.
    _may_unfuse = False

    def __init__(
        self,
        *args,
        n_classes=2,
        input_dtype=torch.float32,
        n_threads=None,
        records_batches=False,
        **kwargs,
    ):
        super().__init__(*args, **kwargs)
        self.n_classes = n_classes
        self.input_dtype = input_dtype
        self.n_threads = n_threads
        self.records_batches = records_batches

    def initialize(self):
        """Initialise the parts, and set ``classes_`` to the class indices."""
        super().initialize()
        self.classes_ = np.arange(self.n_classes)
        return self

    @property
    def network(self):
        """The module as it is now, for rows that are samples of this training."""
        return Network(
            self.module_,
            _as_is,
            _as_is,
            dtype=self.input_dtype,
            device=torch.device(self.device),
            n_threads=self.n_threads,
        )

    def evaluation_network(self):
        """The same, switched to evaluation mode until the next training step.

        So the module is never in training mode between two trainings, and several threads can
        evaluate it.
        """
        self._set_training(False)
        return self.network

    def on_batch_begin(self, net, batch=None, training=False, **kwargs):
        if self.records_batches:
            super().on_batch_begin(net, batch=batch, training=training, **kwargs)

    @property
    def _default_callbacks(self):
        return []

    def _set_training(self, training=True):
        if self.module_.training != training:
            super()._set_training(training)
            for part in self._frozen:
                part.training = False

    def predict(self, X):
        """Class index of the most likely class of each sample."""
        return self.predict_proba(X).argmax(axis=1)

    def get_loss(self, y_pred, y_true, *args, **kwargs):
        """Loss of a batch; weights are applied by :mod:`margin_sklearn.nn.weighted_loss`."""
        target, weight = y_true
        loss = self.criterion_(y_pred, target)
        return loss if weight is None else self._combine(loss, target, weight)

    @contextmanager
    def weighting(self):
        """Compute one loss per sample within the block, and combine them with the weights."""
        criterion = self.criterion_
        self._combine = combination(criterion, self.n_classes, torch.device(self.device))
        reduction, criterion.reduction = criterion.reduction, "none"
        try:
            yield
        finally:
            criterion.reduction, self._combine = reduction, None

    def initialize_optimizer(self, *args, **kwargs):
        super().initialize_optimizer(*args, **kwargs)
        closure = inspect.signature(self.optimizer_.step).parameters.get("closure")
        # LBFGS requires a closure; for other optimizers it only costs time.
        self._closure_needed = closure is not None and closure.default is closure.empty
        self._may_unfuse = bool(self.optimizer_.defaults.get("fused"))
        zero_grad = type(self.optimizer_).zero_grad
        self._plain_zero_grad = zero_grad is torch.optim.Optimizer.zero_grad
        return self

    def get_params_for_optimizer(self, prefix, named_parameters):
        """As skorch's; notes which settings the user gave to each group of parameters."""
        args, kwargs = super().get_params_for_optimizer(prefix, named_parameters)
        if prefix == "optimizer":
            for_all = {"lr"} & {*self.get_params_for(prefix)}
            self._own_settings = [for_all | {*group} for group in args[0]]
        return args, kwargs

    @contextmanager
    def guarded(self, freeze_batch_norm):
        """Within the block, a callback guards the training and undoes bad epochs.

        A loss that is not finite then raises no error. With ``freeze_batch_norm``, batch norm
        layers stay in evaluation mode: they keep and use their statistics.
        """
        if freeze_batch_norm:
            self._frozen = tuple(
                part for part in self.module_.modules() if is_batch_norm(part)
            )
        self._must_converge = False
        # The next switch to training mode must reach all submodules, except the frozen ones.
        self._set_training(False)
        try:
            yield
        finally:
            self._frozen, self._must_converge = (), True
            self._set_training(False)

    def adopt(self, lr, batch_size, weight_decay=None):
        """Continue training with other settings; None leaves the weight decay as it is.

        Groups of parameters with settings of their own keep them, and so do those that a
        callback has added.
        """
        groups = self.optimizer_.param_groups
        for group, own in zip(groups, self._own_settings, strict=False):
            if weight_decay is not None and "weight_decay" in {*group} - own:
                group["weight_decay"] = weight_decay
            if self.lr != lr and "lr" not in own:
                group["lr"] = lr
                if "initial_lr" in group:  # the start of a schedule
                    group["initial_lr"] = lr
        self.lr, self.batch_size = lr, batch_size

    def train(self, samples, epochs, n_done=0):
        """Train for this many more epochs, unless a callback or Ctrl-C stops training.

        The first ``n_done`` of them need not be made.
        """
        self.max_epochs = epochs
        return self.partial_fit(samples, epochs=epochs - n_done)

    def train_step(self, batch, **fit_params):
        """One optimization step on a batch; skorch's own if the optimizer needs a closure."""
        if self._closure_needed:
            return super().train_step(batch, **fit_params)
        self._forget_gradients()
        step = self.train_step_single(batch, **fit_params)
        if self._may_unfuse:
            self._unfuse_sparse()
        if self._listeners_of("on_grad_computed"):
            self.notify(
                "on_grad_computed",
                named_parameters=list(self.get_all_learnable_params()),
                batch=_shown(batch),
                training=True,
            )
        self._step_optimizer(None)
        return step

    def _forget_gradients(self):
        if not self._plain_zero_grad:
            self.optimizer_.zero_grad()
            return
        # What zero_grad does, without its profiling, which costs as much as a layer.
        for group in self.optimizer_.param_groups:
            for parameter in group["params"]:
                parameter.grad = None

    def train_step_single(self, batch, **fit_params):
        """Forward and backward pass; the batch is already on the device."""
        self._set_training(True)
        x, labels = batch
        with self._stream:
            y_pred = full_precision(self.module_(x, **fit_params))
        loss = self.get_loss(y_pred, labels, X=x, training=True)
        loss.backward()
        return {"loss": loss, "y_pred": y_pred}

    def _unfuse_sparse(self):
        """Turn off fused steps after the first batch if there are sparse gradients."""
        self._may_unfuse = False
        for group in self.optimizer_.param_groups:
            gradients = [p.grad for p in group["params"] if p.grad is not None]
            if any(gradient.is_sparse for gradient in gradients):
                group["fused"] = False

    def initialize_callbacks(self):
        super().initialize_callbacks()
        self._listeners = {}
        return self

    @contextmanager
    def drawing(self, stream, user_callbacks):
        """Draw from a stream; others may between two steps if only the forward pass draws."""
        parts = (self.module_, self.criterion_, self.optimizer_)
        if user_callbacks or not draws_in_forward_only(*parts):
            with stream:
                yield
            return
        self._stream = stream
        try:
            yield
        finally:
            del self._stream

    @contextmanager
    def calling(self, callbacks):
        """Within the block, call these (name, callback) pairs instead of the net's own."""
        own: list = getattr(self, "callbacks_")  # noqa: B009 (mypy)
        self.callbacks_, self._listeners = callbacks, {}
        try:
            yield
        finally:
            self.callbacks_, self._listeners = own, {}

    def notify(self, method_name, **cb_kwargs):
        """Notify the callbacks; those that inherit the empty method are skipped."""
        getattr(self, method_name)(self, **cb_kwargs)
        listeners = self._listeners_of(method_name)
        if method_name == "on_train_begin":
            for callback in listeners:
                with continued_schedule(callback, self.optimizer_):
                    callback.on_train_begin(self, **cb_kwargs)
        elif method_name == "on_train_end":
            with self.interrupts_noted():
                for callback in listeners:
                    callback.on_train_end(self, **cb_kwargs)
        else:
            for callback in listeners:
                getattr(callback, method_name)(self, **cb_kwargs)

    @contextmanager
    def interrupts_noted(self):
        """Finish the work after the last epoch even if Ctrl-C is pressed once."""
        finished = False
        try:
            with interrupts_put_off(most=1):
                yield
                finished = True
        except KeyboardInterrupt:
            if not finished:
                raise
            self.interrupted_ = True

    def _listeners_of(self, method_name):
        if method_name not in self._listeners:
            empty = getattr(Callback, method_name, None)
            self._listeners[method_name] = [
                callback
                for _, callback in self.callbacks_
                if getattr(type(callback), method_name) is not empty
            ]
        return self._listeners[method_name]

    def fit_loop(self, X, y=None, epochs=None, **fit_params):
        """skorch's loop; records in ``interrupted_`` whether it was interrupted."""
        self.interrupted_ = False
        try:
            return super().fit_loop(X, y, epochs=epochs, **fit_params)
        except KeyboardInterrupt as stop:
            # Callbacks of users stop training between epochs as Ctrl-C does.
            between = bool(self.history) and "train_loss" in self.history[-1]
            by_callback = isinstance(stop, StopTraining) or self.records_batches
            self.interrupted_ = not (between and by_callback)
            raise
        except (KeyError, ValueError, SkorchException) as error:
            explain_monitor(error, self.history, self.callbacks_)
            raise

    def run_single_epoch(self, iterator, training, prefix, step_fn, **fit_params):
        """One pass over the batches; records ``train_loss``, the mean over the samples."""
        if iterator is None:
            return
        losses, sizes = [], []
        begun = bool(self.records_batches or self._listeners_of("on_batch_begin"))
        for batch in iterator:
            shown = _shown(batch)
            if begun:
                self.notify("on_batch_begin", batch=shown, training=training)
            step = step_fn(batch, **fit_params)
            losses.append(step["loss"].detach())
            sizes.append(len(batch[0]))
            if self.records_batches:
                self.history.record_batch(prefix + "_batch_size", sizes[-1])
                # As a tensor: reading its value now would wait for the GPU.
                self.history.record_batch(prefix + "_loss", losses[-1])
            self.notify("on_batch_end", batch=shown, training=training, **step)
        values = torch.stack(losses).tolist()
        loss = float(np.average(values, weights=sizes))
        diverged = self.divergence(loss)
        if self._must_converge and diverged is not None:
            raise diverged
        self.history.record(prefix + "_loss", loss)
        self.history.record(prefix + "_batch_count", len(sizes))
        if self.records_batches:
            name = prefix + "_loss"
            for row, value in zip(self.history[-1]["batches"], values, strict=True):
                row[name] = value
            earlier = [row[name] for row in self.history[:-1] if name in row]
            self.history.record(name + "_best", loss < min(earlier, default=math.inf))

    def divergence(self, loss):
        """The error to raise for the loss of an epoch, or None if the loss is finite."""
        if math.isfinite(loss):
            return None
        return ValueError(
            f"The training loss became {loss} in epoch {len(self.history)}: training "
            "diverged. Lower lr, or scale the input (StandardScaler)."
        )

    # --- pickling -------------------------------------------------------------------

    def __getstate__(self):
        return {**state_for_pickling(vars(self)), "_listeners": {}, "_stream": nullcontext()}

    def __setstate__(self, state):
        self.__dict__.update(state_for_training(state, self._check_device))


def _as_is(values):
    return values


def _shown(batch):
    """A batch as passed to callbacks: inputs and targets, without the weights."""
    x, (target, _) = batch
    return x, target
