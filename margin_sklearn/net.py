"""The skorch net inside MarginClassifier, and the state torch trains it under."""

import copy
import inspect
import math
import threading
from contextlib import contextmanager

import numpy as np
import torch
from skorch import NeuralNet
from skorch.callbacks import Callback
from torch.utils.flop_counter import FlopCounterMode

__all__ = [
    "MarginNet",
    "build_module",
    "generator_state",
    "optimizer_settings",
    "seeded",
    "torch_threads",
    "try_module",
]

# torch's default generators belong to the whole process: fits in several threads
# (joblib's threading backend) take turns, so that each keeps its own stream.
_GENERATOR_LOCK = threading.RLock()


class MarginNet(NeuralNet):
    """skorch's NeuralNet for batches of ``(x, (y, weight))`` and modules that give logits.

    It differs from its parent where the parent costs time on small networks or waits for a
    GPU in every step: losses are read once an epoch, modules switch between training and
    evaluation mode only when the mode changes, and the history has rows for single batches
    only where ``records_batches`` says that somebody's callbacks may want them.
    """

    records_batches = False

    def on_batch_begin(self, net, batch=None, training=False, **kwargs):
        if self.records_batches:
            super().on_batch_begin(net, batch=batch, training=training, **kwargs)

    @property
    def _default_callbacks(self):
        return []

    def _set_training(self, training=True):
        if self.module_.training != training:
            super()._set_training(training)

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

    def initialize_callbacks(self):
        super().initialize_callbacks()
        self._listeners = {}
        return self

    def notify(self, method_name, **cb_kwargs):
        """Tell the callbacks; those that inherit an empty method are not called."""
        getattr(self, method_name)(self, **cb_kwargs)
        for name in self._listeners_of(method_name):
            getattr(dict(self.callbacks_)[name], method_name)(self, **cb_kwargs)

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
        if not math.isfinite(loss):
            raise ValueError(
                f"The training loss became {loss} in epoch {len(self.history)}: training "
                "diverged. Lower lr, or scale the input (StandardScaler)."
            )
        self.history.record(prefix + "_loss", loss)
        self.history.record(prefix + "_batch_count", len(sizes))


def build_module(module, parameters, **fixed_by_data):
    """A new module, given those of ``fixed_by_data`` that its signature names.

    Parameters
    ----------
    module : type, callable or torch.nn.Module
        A finished module is copied: fitting goes on from its weights.
    parameters : dict
        The user's ``module__…``; they come before what the data fix.
    **fixed_by_data
        ``input_shape``, ``n_classes``.
    """
    if isinstance(module, torch.nn.Module):
        if parameters:
            raise ValueError(
                f"module is an instance of {type(module).__name__}, so {sorted(parameters)} "
                "cannot be set by module__…: pass the class instead."
            )
        return copy.deepcopy(module)
    accepted = inspect.signature(module).parameters
    wanted = {name: value for name, value in fixed_by_data.items() if name in accepted}
    built = module(**{**wanted, **parameters})
    if not isinstance(built, torch.nn.Module):
        raise TypeError(
            f"module must make a torch.nn.Module, but {module!r} made a "
            f"{type(built).__name__}."
        )
    return built


def try_module(module, x, n_classes):
    """Check that ``module`` gives logits for a batch; count its operations.

    Parameters
    ----------
    module : torch.nn.Module
    x : torch.Tensor of shape (n, ...)
        A few samples.
    n_classes : int

    Returns
    -------
    flops : float
        Floating-point operations of a forward pass, per sample.

    Raises
    ------
    ValueError
        If the output is not one logit a class, or is a probability.
    """
    module.eval()
    counter = FlopCounterMode(display=False)
    try:
        with torch.no_grad(), counter:
            logits = module(x)
    except (RuntimeError, IndexError) as error:
        raise ValueError(
            f"{type(module).__name__} cannot take samples of shape {tuple(x.shape[1:])}: {error}"
        ) from error
    shape = tuple(logits.shape) if isinstance(logits, torch.Tensor) else type(logits)
    if shape != (len(x), n_classes):
        raise ValueError(
            f"{type(module).__name__} must return one logit for each of the {n_classes} "
            f"classes in y, shape ({len(x)}, {n_classes}), but returned {shape}."
        )
    if (logits >= 0).all() and torch.allclose(
        logits.sum(dim=1), torch.ones(len(x), dtype=logits.dtype, device=logits.device)
    ):
        raise ValueError(
            f"{type(module).__name__} returns probabilities (they sum to 1), but the loss "
            "expects logits: leave out its last softmax."
        )
    return counter.get_total_flops() / len(x)


def optimizer_settings(optimizer, weight_decay, device):
    """Arguments for skorch's net that the optimizer's signature knows."""
    accepted = inspect.signature(optimizer).parameters
    if "weight_decay" in accepted:
        settings = {"optimizer__weight_decay": weight_decay}
    elif weight_decay:
        raise ValueError(
            f"{optimizer.__name__} has no weight_decay: set weight_decay=0, got {weight_decay}."
        )
    else:
        settings = {}
    if "fused" in accepted and device.type in ("cpu", "cuda"):
        # One operation a step instead of several for each parameter; equal results.
        settings["optimizer__fused"] = True
    return settings


@contextmanager
def seeded(device, seed=None, state=None):
    """Run with torch's generators seeded or continued; put them back as they were.

    Parameters
    ----------
    device : torch.device
    seed : int, default=None
        Starts new streams.
    state : list of torch.Tensor, default=None
        Continues streams: what :func:`generator_state` gave.
    """
    with _GENERATOR_LOCK:
        before = generator_state(device)
        try:
            if state is None:
                _set_state(device, [_seeded_state(kind, seed) for kind in _kinds(device)])
            else:
                # A fit begun on a GPU may go on on a CPU: the streams both have are used.
                kept = [*state, *before[len(state) :]][: len(before)]
                _set_state(device, kept)
            yield
        finally:
            _set_state(device, before)


def generator_state(device):
    """State of torch's generators that work on ``device`` uses: the CPU's, then its own."""
    states = [torch.get_rng_state()]
    if device.type == "cuda":
        states.append(torch.cuda.get_rng_state(device))
    elif device.type == "mps":
        states.append(torch.mps.get_rng_state())
    return states


def _kinds(device):
    return ["cpu"] if device.type == "cpu" else ["cpu", device]


def _seeded_state(kind, seed):
    # Not torch.manual_seed: it would reseed every device's generator.
    return torch.Generator(kind).manual_seed(seed).get_state()


def _set_state(device, states):
    torch.set_rng_state(states[0])
    if device.type == "cuda":
        torch.cuda.set_rng_state(states[1], device)
    elif device.type == "mps":
        torch.mps.set_rng_state(states[1])


@contextmanager
def torch_threads(n_threads):
    """Run with ``n_threads`` CPU threads in torch (None: as it is), then as before."""
    before = torch.get_num_threads()
    if n_threads is None or n_threads == before:
        yield
        return
    torch.set_num_threads(n_threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
