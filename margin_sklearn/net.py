"""The skorch net inside MarginClassifier."""

import inspect
import math
from contextlib import contextmanager

import numpy as np
import torch
from skorch import NeuralNet
from skorch.callbacks import Callback

__all__ = ["MarginNet"]


class MarginNet(NeuralNet):
    """skorch's NeuralNet for batches of ``(x, (y, weight))`` and modules that give logits.

    It differs from its parent where the parent costs time on small networks or waits for a
    GPU in every step: losses are read once an epoch, modules switch between training and
    evaluation mode only when the mode changes, and the history has rows for single batches
    only where ``records_batches`` says that somebody's callbacks may want them.
    """

    records_batches = False
    # Parts of the module that stay in evaluation mode while it trains.
    frozen: tuple = ()
    # Whether a loss that is not finite is an error; callbacks may undo such epochs.
    must_converge = True

    def on_batch_begin(self, net, batch=None, training=False, **kwargs):
        if self.records_batches:
            super().on_batch_begin(net, batch=batch, training=training, **kwargs)

    @property
    def _default_callbacks(self):
        return []

    def _set_training(self, training=True):
        if self.module_.training != training:
            super()._set_training(training)
            for part in self.frozen:
                part.training = False

    def get_loss(self, y_pred, y_true, *args, **kwargs):
        """Loss of a batch; with weights, the mean of weight times loss (mean weight 1)."""
        target, weight = y_true
        loss = self.criterion_(y_pred, target)
        return loss if weight is None else (loss * weight).mean()

    def initialize_optimizer(self, *args, **kwargs):
        super().initialize_optimizer(*args, **kwargs)
        closure = inspect.signature(self.optimizer_.step).parameters.get("closure")
        # LBFGS cannot do without a closure; for the others it only costs time.
        self._closure_needed = closure is not None and closure.default is closure.empty
        return self

    def train_step(self, batch, **fit_params):
        """One optimizer step on a batch; skorch's way where the optimizer needs a closure."""
        if self._closure_needed:
            return super().train_step(batch, **fit_params)
        self._zero_grad_optimizer()
        step = self.train_step_single(batch, **fit_params)
        if self._listeners_of("on_grad_computed"):
            self.notify(
                "on_grad_computed",
                named_parameters=list(self.get_all_learnable_params()),
                batch=batch,
                training=True,
            )
        self._step_optimizer(None)
        return step

    def train_step_single(self, batch, **fit_params):
        """Forward and backward pass; the batch lies on the device already."""
        self._set_training(True)
        x, labels = batch
        y_pred = self.module_(x, **fit_params)
        loss = self.get_loss(y_pred, labels, X=x, training=True)
        loss.backward()
        return {"loss": loss, "y_pred": y_pred}

    def initialize_callbacks(self):
        super().initialize_callbacks()
        self._listeners = {}
        return self

    @contextmanager
    def arranged_callbacks(self, arrange):
        """Have ``arrange(callbacks)`` for a while; both are lists of (name, callback)."""
        own: list = getattr(self, "callbacks_")  # noqa: B009 (mypy)
        if arrange is not None:
            self.callbacks_, self._listeners = arrange(own), {}
        try:
            yield
        finally:
            self.callbacks_, self._listeners = own, {}

    def notify(self, method_name, **cb_kwargs):
        """Tell the callbacks; those that inherit an empty method are not called."""
        getattr(self, method_name)(self, **cb_kwargs)
        listeners = self._listeners_of(method_name)
        if listeners:
            for name, callback in self.callbacks_:
                if name in listeners:
                    getattr(callback, method_name)(self, **cb_kwargs)

    def _listeners_of(self, method_name):
        if method_name not in self._listeners:
            empty = getattr(Callback, method_name, None)
            self._listeners[method_name] = [
                name
                for name, callback in self.callbacks_
                if getattr(type(callback), method_name) is not empty
            ]
        return self._listeners[method_name]

    def fit_loop(self, X, y=None, epochs=None, **fit_params):
        """skorch's loop; remembers in ``interrupted_`` whether it was broken off."""
        self.interrupted_ = False
        try:
            return super().fit_loop(X, y, epochs=epochs, **fit_params)
        except KeyboardInterrupt:
            # Callbacks end training so between epochs; a user mostly within one.
            self.interrupted_ = bool(self.history) and "train_loss" not in self.history[-1]
            raise

    def run_single_epoch(self, iterator, training, prefix, step_fn, **fit_params):
        """One pass over the batches; records ``train_loss``, the mean over the samples."""
        if iterator is None:
            return
        losses, sizes = [], []
        for batch in iterator:
            self.notify("on_batch_begin", batch=batch, training=training)
            step = step_fn(batch, **fit_params)
            losses.append(step["loss"].detach())
            sizes.append(len(batch[0]))
            if self.records_batches:
                self.history.record_batch(prefix + "_batch_size", sizes[-1])
            self.notify("on_batch_end", batch=batch, training=training, **step)
        loss = float(np.average(torch.stack(losses).tolist(), weights=sizes))
        if self.must_converge and not math.isfinite(loss):
            raise ValueError(
                f"The training loss became {loss} in epoch {len(self.history)}: training "
                "diverged. Lower lr, or scale the input (StandardScaler)."
            )
        self.history.record(prefix + "_loss", loss)
        self.history.record(prefix + "_batch_count", len(sizes))
