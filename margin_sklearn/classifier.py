"""MarginClassifier: a PyTorch network as a scikit-learn classifier."""

import copy
import warnings

import numpy as np
import torch
from scipy.special import log_softmax, softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted
from skorch.callbacks import EpochTimer, PrintLog

from .batches import Batches, Samples, chunk_length, resolve_device, to_tensor
from .callbacks import MarginHistory, ProgressBar, Separation
from .exceptions import NotSeparatedWarning
from .losses import ExponentialLoss, LogisticLoss
from .modules import MLP
from .net import (
    MarginNet,
    build_module,
    generator_state,
    optimizer_settings,
    seeded,
    torch_threads,
    try_module,
)
from .validation import (
    check_settings,
    check_weights,
    validate_fit,
    validate_labels,
    validate_predict,
)

__all__ = ["MarginClassifier"]

CRITERIA = {
    "cross_entropy": torch.nn.CrossEntropyLoss,
    "exponential": ExponentialLoss,
    "logistic": LogisticLoss,
}
OPTIMIZERS = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "sgd": torch.optim.SGD,
}
PREFIXES = ("module", "optimizer", "criterion", "callbacks")
# A training step of fewer floating-point operations than this runs in one thread: with
# more, the threads' meeting costs more than they save (and depends on what else runs).
ONE_THREAD_FLOPS = 2e9


class MarginClassifier(ClassifierMixin, BaseEstimator):
    """A PyTorch network as a scikit-learn classifier.

    TODO
    """

    def __init__(
        self,
        module=MLP,
        *,
        criterion="cross_entropy",
        optimizer="adamw",
        lr=1e-3,
        weight_decay=0.01,
        max_epochs=100,
        batch_size=64,
        stop_at_separation=False,
        class_weight=None,
        warm_start=False,
        callbacks=None,
        device="auto",
        random_state=None,
        verbose=0,
        **kwargs,
    ):
        self.module = module
        self.criterion = criterion
        self.optimizer = optimizer
        self.lr = lr
        self.weight_decay = weight_decay
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.stop_at_separation = stop_at_separation
        self.class_weight = class_weight
        self.warm_start = warm_start
        self.callbacks = callbacks
        self.device = device
        self.random_state = random_state
        self.verbose = verbose
        for name, value in kwargs.items():
            if not _is_nested(name):
                raise TypeError(
                    f"MarginClassifier got an unexpected argument {name!r}. Beside its own "
                    f"parameters it takes names that begin with one of "
                    f"{[prefix + '__' for prefix in PREFIXES]}."
                )
            setattr(self, name, value)

    # --- parameters -----------------------------------------------------------------

    def get_params(self, deep=True):
        """Parameters of the estimator, ``module__…`` and the like among them.

        Parameters
        ----------
        deep : bool, default=True
            Unused: there are no estimators inside.

        Returns
        -------
        params : dict
        """
        params = super().get_params(deep=False)
        return {**params, **{key: vars(self)[key] for key in vars(self) if _is_nested(key)}}

    def set_params(self, **params):
        """Set parameters; ``module__…`` and the like may be new ones.

        Parameters
        ----------
        **params : dict
            Names and values.

        Returns
        -------
        self : MarginClassifier

        Raises
        ------
        ValueError
            If a name is not a parameter.
        """
        known = super().get_params(deep=False)
        for name, value in params.items():
            if name not in known and not _is_nested(name):
                raise ValueError(
                    f"Invalid parameter {name!r} for estimator MarginClassifier. Valid "
                    f"parameters are: {sorted(known)}, and names that begin with one of "
                    f"{[prefix + '__' for prefix in PREFIXES]}."
                )
            setattr(self, name, value)
        return self

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.three_d_array = False
        return tags

    # --- fitting --------------------------------------------------------------------

    def fit(self, X, y, sample_weight=None):
        """Fit the network.

        Parameters
        ----------
        X : {array-like, sparse matrix, DataFrame, tensor} of shape (n_samples, ...)
            A table, or images and the like of shape (n_samples, ...).
        y : array-like of shape (n_samples,)
            Labels of any kind, at least two different ones.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights of the samples in the loss. Samples of weight 0 take no
            part in training.

        Returns
        -------
        self : MarginClassifier
        """
        warm = self.warm_start and hasattr(self, "net_")
        X, y = validate_fit(self, X, y, reset=not warm)
        if not warm:
            self.classes_ = np.unique(y)
        return self._fit(X, y, sample_weight, fresh=not warm, epochs=self.max_epochs)

    def partial_fit(self, X, y, classes=None, sample_weight=None):
        """Train for one epoch on the samples given, from the network as it is.

        Parameters
        ----------
        X : {array-like, sparse matrix, DataFrame, tensor} of shape (n_samples, ...)
        y : array-like of shape (n_samples,)
            Labels; not every class need be among them.
        classes : array-like of shape (n_classes,), default=None
            All labels there will be. Required on the first call, later optional.
        sample_weight : array-like of shape (n_samples,), default=None

        Returns
        -------
        self : MarginClassifier
        """
        first = not hasattr(self, "net_")
        if first and classes is None:
            raise ValueError("classes must be passed on the first call to partial_fit.")
        X, y = validate_fit(self, X, y, reset=first)
        if first:
            self.classes_ = np.unique(classes)
        elif classes is not None and not np.array_equal(self.classes_, np.unique(classes)):
            raise ValueError(
                f"classes={np.unique(classes)} is not the same as on the last call to "
                f"partial_fit: {self.classes_}."
            )
        return self._fit(X, y, sample_weight, fresh=first, epochs=1)

    def _fit(self, X, y, sample_weight, fresh, epochs):
        check_settings(self)
        index = validate_labels(y, self.classes_)
        weight = check_weights(sample_weight, self.class_weight, index, self.classes_)
        if weight is not None and not weight.all():
            # Weight 0 means not there: for batch norm and separation, too.
            X, index, weight = X[weight > 0], index[weight > 0], weight[weight > 0]
        device = resolve_device(self.device)
        if fresh:
            seed, state = self._seed(), None
        else:
            # Going on: the next part of the same random stream, on the same device.
            seed, state, device = None, self._generator_state, torch.device(self.net_.device)
        with seeded(device, seed, state):
            if fresh:
                self.net_ = self._build(device, X, self.batch_size)
            samples = Samples(X, index, weight, device)
            with torch_threads(self._n_threads if device.type == "cpu" else None):
                self._train(samples, epochs, weight is not None)
            self._generator_state = generator_state(device)
        return self

    def _seed(self):
        if self.random_state is None:
            # From the operating system: NumPy's global generator stays as it is.
            return int(np.random.SeedSequence().generate_state(1)[0])
        return int(check_random_state(self.random_state).randint(2**31 - 1))

    def _build(self, device, X, batch_size):
        """An initialised net around a module that was tried on a few samples."""
        nested = {key: vars(self)[key] for key in vars(self) if _is_nested(key)}
        module = build_module(
            self.module,
            {k.removeprefix("module__"): nested.pop(k) for k in list(nested) if k[:8] == "module__"},
            input_shape=self.input_shape_,
            n_classes=len(self.classes_),
        )
        module = module.to(device)
        flops = try_module(module, to_tensor(X[:2], device), len(self.classes_))
        small = 3 * flops * min(batch_size, X.shape[0]) < ONE_THREAD_FLOPS
        self._n_threads = 1 if small else None
        optimizer = OPTIMIZERS.get(self.optimizer, self.optimizer)
        history = MarginHistory()
        callbacks = [
            ("margin_history", history),
            ("separation", Separation(history, stop=self.stop_at_separation)),
            # Copies: a fit must not change what the constructor was given.
            *copy.deepcopy(list(self.callbacks or [])),
        ]
        if self.verbose == 1:
            callbacks.append(("progress_bar", ProgressBar()))
        elif self.verbose >= 2:
            callbacks.append(("print_log", PrintLog()))
            callbacks.insert(0, ("epoch_timer", EpochTimer()))
        net = MarginNet(
            module,
            criterion=CRITERIA.get(self.criterion, self.criterion),
            optimizer=optimizer,
            lr=self.lr,
            max_epochs=self.max_epochs,
            batch_size=batch_size,
            iterator_train=Batches,
            iterator_train__shuffle=True,
            iterator_valid=Batches,
            dataset=Samples,
            train_split=None,
            callbacks=callbacks,
            device=str(device),
            verbose=self.verbose,
            **{**optimizer_settings(optimizer, self.weight_decay, device), **nested},
        )
        net.records_batches = bool(self.callbacks)
        return net.initialize()

    def _train(self, samples, epochs, weighted):
        net = self.net_
        if isinstance(net.criterion_, torch.nn.NLLLoss):
            raise ValueError(
                "criterion=NLLLoss expects log-probabilities, but modules give logits here: "
                "use criterion='cross_entropy'."
            )
        if weighted and not hasattr(net.criterion_, "reduction"):
            raise ValueError(
                f"sample_weight and class_weight need a criterion with a 'reduction' "
                f"parameter, as torch's losses have; {type(net.criterion_).__name__} has none."
            )
        if weighted:
            unweighted, net.criterion_.reduction = net.criterion_.reduction, "none"
        net.max_epochs = epochs
        try:
            net.partial_fit(samples)
        finally:
            if weighted:
                net.criterion_.reduction = unweighted
            for _, callback in net.callbacks_:
                if isinstance(callback, ProgressBar):
                    callback.close()
        if net.interrupted_:
            warnings.warn(
                f"Training was interrupted after {self.n_iter_} epochs; the network is "
                "fitted as far as it came.",
                stacklevel=4,
            )
        elif self.stop_at_separation and not self.separated_ and epochs > 1:
            warnings.warn(
                f"The network does not separate its training data after max_epochs={epochs}: "
                f"its accuracy in the last epoch was {self.history_[-1]['train_accuracy']:.4f}. "
                "Raise max_epochs, widen the network or lower weight_decay; contradictory "
                "labels cannot be separated.",
                NotSeparatedWarning,
                stacklevel=4,
            )

    # --- what training left ---------------------------------------------------------

    @property
    def history_(self):
        """skorch's history of the fit: one row an epoch."""
        return self._fitted_net().history

    @property
    def loss_curve_(self):
        """List of the mean training loss of each completed epoch."""
        return [row["train_loss"] for row in self.history_ if "train_loss" in row]

    @property
    def n_iter_(self):
        """Number of completed epochs."""
        return len(self.loss_curve_)

    @property
    def separated_(self):
        """Whether the network classifies every sample of its last training right."""
        return dict(self._fitted_net().callbacks_)["separation"].separated_

    @property
    def separation_epoch_(self):
        """First epoch (from 1) after which it did, or None."""
        return dict(self._fitted_net().callbacks_)["separation"].epoch_

    def _fitted_net(self):
        try:
            return vars(self)["net_"]
        except KeyError:
            raise AttributeError("This MarginClassifier is not fitted yet.") from None

    # --- predicting -----------------------------------------------------------------

    def predict(self, X):
        """Most likely label of each sample.

        Parameters
        ----------
        X : {array-like, sparse matrix, DataFrame, tensor} of shape (n_samples, ...)

        Returns
        -------
        y : ndarray of shape (n_samples,)
        """
        logits = self._logits(X)
        return self.classes_[logits.argmax(axis=1)]

    def predict_proba(self, X):
        """Softmax of the logits.

        Parameters
        ----------
        X : {array-like, sparse matrix, DataFrame, tensor} of shape (n_samples, ...)

        Returns
        -------
        proba : ndarray of float64 of shape (n_samples, n_classes)
            Columns in the order of ``classes_``.
        """
        return softmax(self._logits(X).astype(np.float64), axis=1)

    def predict_log_proba(self, X):
        """Logarithm of the softmax of the logits.

        Parameters
        ----------
        X : {array-like, sparse matrix, DataFrame, tensor} of shape (n_samples, ...)

        Returns
        -------
        log_proba : ndarray of float64 of shape (n_samples, n_classes)
            Columns in the order of ``classes_``.
        """
        return log_softmax(self._logits(X).astype(np.float64), axis=1)

    def decision_function(self, X):
        """Logits; for two classes their difference.

        Parameters
        ----------
        X : {array-like, sparse matrix, DataFrame, tensor} of shape (n_samples, ...)

        Returns
        -------
        scores : ndarray of float32 of shape (n_samples, n_classes) or (n_samples,)
            For two classes, positive where ``classes_[1]`` is predicted.
        """
        logits = self._logits(X)
        return logits[:, 1] - logits[:, 0] if len(self.classes_) == 2 else logits

    def _logits(self, X):
        check_is_fitted(self, "net_")
        X = validate_predict(self, X)
        net, device = self.net_, torch.device(self.net_.device)
        step = chunk_length(int(np.prod(self.input_shape_)))
        net._set_training(False)
        logits = np.empty((X.shape[0], len(self.classes_)), dtype=np.float32)
        with torch.no_grad(), torch_threads(self._n_threads if device.type == "cpu" else None):
            for start in range(0, X.shape[0], step):
                rows = to_tensor(X[start : start + step], device)
                logits[start : start + step] = net.module_(rows).cpu().numpy()
        return logits


def _is_nested(name):
    prefix, separator, rest = name.partition("__")
    return bool(prefix in PREFIXES and separator and rest)
