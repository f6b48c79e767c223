"""MarginClassifier: a PyTorch network as a scikit-learn classifier."""

import copy
import os
from collections.abc import Callable
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from typing import Any, Literal, NamedTuple, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.special import log_softmax, softmax
from sklearn.base import ClassifierMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted
from skorch.history import History

from ..adapters.registry import as_network
from ..data.batches import Samples
from ..data.validation import (
    check_classes_again,
    validate_fit,
    validate_labels,
    validate_predict,
)
from ..data.weights import training_weights
from ..exceptions import NotSeparatedWarning, warn_caller
from ..nn.modules import MLP
from ..runtime import drawing_alone, reading, resolve_device, training
from ..storage.hashing import Unhashable, content_hash
from ..storage.sources import sources_of
from ..training.build import TrainingSettings, copied_callback
from ..training.checkpoint import Checkpoint, training_hash
from ..training.length import n_epochs, samples_per_step
from ..training.net import MarginNet
from ..training.predicting import class_indices, logits_of
from ..training.run import TrainingRun
from ..training.schedules import learning_rate
from ..versions import versions_of_libraries
from .parameters import NestedParamsEstimator, nested_params, set_nested
from .settings import check_classes, check_settings

__all__ = ["MarginClassifier", "TrainingPart", "begin_fit", "training_run"]


class MarginClassifier(ClassifierMixin, NestedParamsEstimator):
    r"""A PyTorch network as a scikit-learn classifier.

    :meth:`fit` builds a skorch net from the module, the data and the parameters below, and
    keeps it as ``net_``. No sample is held out. The defaults were chosen by test accuracy
    behind a StandardScaler on six data sets and confirmed on six others
    (``benchmarks/accuracy.py`` prints the comparison with scikit-learn's MLPClassifier).
    Standardise tabular data.

    Parameters
    ----------
    module : torch.nn.Module class, callable or torch.nn.Module, default=MLP
        The network: a class or function that creates a module, or a module instance. The
        module maps inputs of shape (n, ...) to logits of shape (n, n_classes), without a final
        softmax. ``input_shape`` (the shape of one sample, a tuple) and ``n_classes`` are
        filled in from the data if the signature names them. :class:`MLP` and :class:`ConvNet`
        (for images) are such modules; any ``nn.Module`` class of fixed sizes works as well.
        An instance is copied, and training continues from its weights. Inputs have the
        precision of the module's weights (float32). They are int64 if the module accepts
        nothing else, such as one that starts with ``nn.Embedding``, or if X holds whole
        numbers too large for float32 and the module accepts integers. A module may modify its
        input in place: X does not change.
    criterion : str or torch loss class, default="smooth_cross_entropy"
        Loss on logits: "smooth_cross_entropy" (with label smoothing 0.1), "cross_entropy",
        "exponential" or "logistic" (see :mod:`margin_sklearn.nn.losses`), or a class.
    optimizer : {"adamw", "adam", "sgd"} or torch optimizer class, default="adamw"
        Optimizer of the weights.
    lr : float or "auto", default="auto"
        Learning rate: the peak of one cycle, or the constant rate. "auto" is 1e-2 as the peak
        of one cycle ("one_cycle" or torch's OneCycleLR) and 1e-3 otherwise.
    lr_schedule : {"one_cycle", "constant"} or torch scheduler class, default="one_cycle"
        Learning rate of every step. "one_cycle" rises from 1/25 of ``lr`` to ``lr`` over the
        first 30 % of the steps, then falls to almost 0, both along half a cosine (Smith and
        Topin 2018, arXiv 1708.07120). A class of ``torch.optim.lr_scheduler``, with arguments
        ``lr_schedule__…``, is stepped after every batch; its ``total_steps``, ``T_max`` and
        ``total_iters`` (except ConstantLR's) are the number of steps of the fit and its
        ``max_lr`` is ``lr``, unless they are given. Every :meth:`fit` has a schedule of its
        own, also with ``warm_start``. :meth:`partial_fit` trains at the constant rate ``lr``,
        and so does ``stop_at_separation`` in place of one cycle, whose end would be unknown. A
        skorch LRScheduler in ``callbacks`` needs "constant".
    weight_decay : float, default=0.03
        Decoupled weight decay for "adamw", the factor of an L2 penalty for the others.
    max_epochs : int or "auto", default="auto"
        Passes over the samples. All are made unless ``stop_at_separation`` or a callback
        stops training. "auto" is 20, or 200 with ``stop_at_separation``.
    batch_size : int or "auto", default="auto"
        Samples per step; -1 takes all. "auto" is the power of two below a sixteenth of the
        number of samples, from 32 to 128. A last batch of one sample is merged into the one
        before it.
    stop_at_separation : bool or float, default=False
        Whether to stop after the first epoch that leaves every training sample correctly
        classified. A float in (0, 1] is the share of them that suffices. If no epoch reaches
        it, :class:`NotSeparatedWarning` is issued.
    restore_best : {None, "margin_auc"}, default=None
        "margin_auc" scores each epoch by :func:`margin_auc_score` on the training samples (at
        most 2,000 of them) and restores the weights of the best epoch: early stopping without
        a validation set. All ``max_epochs`` are made. The cost per epoch is a forward and a
        backward pass over twice as many points as samples scored.
    class_weight : dict, "balanced" or None, default=None
        Weights of the classes in the loss, as elsewhere in scikit-learn.
    warm_start : bool, default=False
        Whether :meth:`fit` continues training from the previous network and optimizer state.
        ``lr``, ``lr_schedule``, ``weight_decay``, ``batch_size``, ``max_epochs`` and
        ``stop_at_separation`` may have changed; module, criterion, optimizer, callbacks and
        ``restore_best`` may not, and y must have the same classes. A new cycle of
        ``lr_schedule`` begins; an LRScheduler in ``callbacks`` continues where it stopped.
        Changes of ``device``, ``random_state`` and ``verbose`` have no effect. With
        ``restore_best``, training continues from the weights of the best epoch, which stay
        the best if no later epoch has a higher score.
    callbacks : list of skorch callbacks or (name, callback) tuples, default=None
        They are copied at each fit; attributes that cannot be copied, such as locks, are
        shared. No sample is held out, so callbacks can monitor ``train_loss``
        (``train_loss_best``) or scores with ``on_train=True``. They see batches as pairs of
        inputs and class indices.
    checkpoint : str, path-like or None, default=None
        A folder: :meth:`fit` keeps the state of its training there, so that it can be resumed
        if it was killed or interrupted. Fit the same data with the same settings again, in any
        process: the network will be the one that an uninterrupted fit would have given, on the
        CPU to the last bit. With ``random_state=None`` the seed is resumed too. Each fit has a
        sub-folder, named by a hash of data, settings, device and versions, which is removed
        when it has finished; equal fits at the same time have one each. With ``warm_start``,
        the state that training continues from is part of the hash. Files hold arrays and
        JSON, nothing pickled. Fits with ``callbacks`` are not kept (their state is not known),
        with a warning, nor are those of :meth:`partial_fit`. What a module keeps must be
        parameters, buffers, or tensors, numbers and strings in ``get_extra_state``. Networks
        with a checkpoint are not trained together with others.
    checkpoint_every : int, default=1
        Number of epochs between two states.
    device : str or torch.device, default="auto"
        A torch device; "auto" selects cuda, else mps, else cpu. Data that fit on the device
        stay there.
    random_state : int, RandomState instance or None, default=None
        Seeds weights, order of samples and dropout. The global generators of torch, NumPy and
        Python are not changed.
    verbose : int, default=0
        0 is silent, 1 shows a progress bar with loss, accuracy and margin (with
        ``restore_best`` also margin-AUC and the best epoch so far), 2 prints a table with one
        row per epoch.
    **kwargs
        Parameters of the parts, by skorch's convention: ``module__hidden_layer_sizes``,
        ``optimizer__momentum``, ``criterion__label_smoothing``, ``callbacks__NAME__…``,
        ``lr_schedule__…``. They are accepted here, by ``set_params`` and in grids.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels, sorted.
    n_features_in_ : int
        Length of the second axis of X.
    feature_names_in_ : ndarray of shape (n_features,)
        Column names, if X was a DataFrame with string column names.
    input_shape_ : tuple of int
        Shape of one sample.
    net_ : skorch.NeuralNet
        The fitted skorch net; ``net_.module_`` is the torch module.
    history_ : skorch.history.History
        One row per epoch: ``train_loss``, ``train_accuracy`` and ``train_margin`` (mean margin
        in logits), from the training passes; ``margin_auc`` with ``restore_best``.
    loss_curve_ : list of float
        ``train_loss`` of each completed epoch.
    n_iter_ : int
        Number of completed epochs.
    best_epoch_ : int or None
        The epoch, from 1, whose weights ``restore_best`` kept; None if a callback changed the
        weights afterwards.
    separated_ : bool
        Whether the final network, in evaluation mode, correctly classifies every sample that
        it was last trained on (except samples of weight 0), or the share of them given by
        ``stop_at_separation``.
    separation_epoch_ : int or None
        The first epoch, from 1, after which it did.

    See Also
    --------
    margin_auc_score : Score of a fitted network on its training set.

    Notes
    -----
    *Reproducibility.* On the CPU the same ``random_state`` gives the same network to the last
    bit, independent of ``n_jobs``, if a training step takes less than 2 GFLOP: such networks
    are trained in one thread. Larger networks use torch's threads, and are the same for the
    same number of threads (``torch.set_num_threads(1)`` makes them independent of it).

    *Weights.* The loss of a batch is the mean of weight times loss, with the mean taken as
    ``criterion`` does: with ``criterion__weight`` or ``criterion__ignore_index`` the sum is
    divided by the sum of the samples' weights in the criterion. With
    ``criterion__reduction="sum"`` it is the sum of weight times loss. :meth:`fit` first
    divides the weights by their mean: only their ratios matter, and equal weights are the same
    as no weights. In a full batch, a weight of 2 is the same as including the sample twice (up
    to a constant factor of the loss, with ``criterion__reduction="sum"``).

    *Failures.* An error in :meth:`fit` or :meth:`partial_fit` leaves the estimator unchanged.
    Logits that are not finite are never returned: methods raise a ValueError.

    *Separation* is determined exactly. The cost is a forward pass of 32 samples per epoch
    while there are errors, a few passes over all samples near separation, and one at the end.

    *Interrupts.* Ctrl-C stops training with a warning and keeps the network as trained so far.
    Before the first batch it leaves the estimator unchanged.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from margin_sklearn import MarginClassifier
    >>> X, y = load_iris(return_X_y=True, as_frame=True)
    >>> network = MarginClassifier(module__hidden_layer_sizes=(256, 64), random_state=0)
    >>> model = make_pipeline(StandardScaler(), network).fit(X, y)
    >>> model.score(X, y) > 0.9
    True
    >>> network.n_iter_
    20
    """

    net_: MarginNet
    classes_: NDArray[Any]
    n_features_in_: int
    feature_names_in_: NDArray[Any]
    input_shape_: tuple[int, ...]
    _run: TrainingRun

    def __init__(
        self,
        module: type[torch.nn.Module] | Callable[..., torch.nn.Module] | torch.nn.Module = MLP,
        *,
        criterion: str | type = "smooth_cross_entropy",
        optimizer: str | type = "adamw",
        lr: float | Literal["auto"] = "auto",
        lr_schedule: str | type = "one_cycle",
        weight_decay: float = 0.03,
        max_epochs: int | Literal["auto"] = "auto",
        batch_size: int | Literal["auto"] = "auto",
        stop_at_separation: bool | float = False,
        restore_best: Literal["margin_auc"] | None = None,
        class_weight: dict[Any, float] | Literal["balanced"] | None = None,
        warm_start: bool = False,
        callbacks: list[Any] | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_every: int = 1,
        device: str | torch.device = "auto",
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
        **kwargs: Any,
    ) -> None:
        self.module = module
        self.criterion = criterion
        self.optimizer = optimizer
        self.lr = lr
        self.lr_schedule = lr_schedule
        self.weight_decay = weight_decay
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.stop_at_separation = stop_at_separation
        self.restore_best = restore_best
        self.class_weight = class_weight
        self.warm_start = warm_start
        self.callbacks = callbacks
        self.checkpoint = checkpoint
        self.checkpoint_every = checkpoint_every
        self.device = device
        self.random_state = random_state
        self.verbose = verbose
        set_nested(self, kwargs)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.three_d_array = True
        return tags

    def __sklearn_clone__(self):
        # scikit-learn deep-copies parameters, which fails for a callback that holds a lock.
        bare = copy.copy(self)
        bare.callbacks = None
        cloned = super(MarginClassifier, bare).__sklearn_clone__()
        cloned.callbacks = self.callbacks
        if isinstance(self.callbacks, list | tuple):
            cloned.callbacks = [copied_callback(entry) for entry in self.callbacks]
        return cloned

    # --- fitting --------------------------------------------------------------------

    def fit(self, X: Any, y: Any, sample_weight: ArrayLike | None = None) -> Self:
        """Fit the network.

        Parameters
        ----------
        X : {array-like, sparse matrix, DataFrame, tensor} of shape (n_samples, ...)
            A table, or arrays of higher dimension such as images.
        y : array-like of shape (n_samples,)
            Labels of any kind, of at least two classes.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights of the samples in the loss. Samples of weight 0 are excluded
            from training.

        Returns
        -------
        self : MarginClassifier
        """
        check_settings(self)
        before = self.n_iter_ if hasattr(self, "net_") else 0
        with self._aside() as trained:
            part = begin_fit(trained, X, y, sample_weight, purpose="fit")
            with part.resumable():
                part.train()
        warn_unless_separated(self, self.n_iter_ - before if self.warm_start else self.n_iter_)
        return self

    def partial_fit(
        self,
        X: Any,
        y: Any,
        classes: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Continue training for one epoch on the given samples.

        Parameters
        ----------
        X : {array-like, sparse matrix, DataFrame, tensor} of shape (n_samples, ...)
            Samples, all with the same columns.
        y : array-like of shape (n_samples,)
            Labels; they need not include every class.
        classes : array-like of shape (n_classes,), default=None
            All labels that any call will contain. Required on the first call, optional later.
        sample_weight : array-like of shape (n_samples,), default=None
            Factors of the loss, used unscaled; in :meth:`fit` only their ratios matter.

        Returns
        -------
        self : MarginClassifier
        """
        check_settings(self)
        if isinstance(self.class_weight, str):
            raise ValueError(
                f"class_weight={self.class_weight!r} would give different weights for every "
                "chunk passed to partial_fit: pass a dict of weights."
            )
        first = not hasattr(self, "net_")
        if first and classes is None:
            raise ValueError("classes must be passed on the first call to partial_fit.")
        if classes is not None:
            check_classes(classes)
            classes = np.unique(np.asarray(classes))
        with self._aside(continues=not first) as trained:
            X, y = validate_fit(trained, X, y, reset=first)
            if first:
                trained.classes_ = np.asarray(classes)
            elif classes is not None and not np.array_equal(self.classes_, classes):
                raise ValueError(
                    f"classes={classes} is not the same as in the previous fit: "
                    f"{self.classes_}. Pass the same classes or None."
                )
            part = trained._begin(X, y, sample_weight, fresh=first, chunk=True)
            part.run.fit(part.samples, 1)
        return self

    def _warm(self):
        return bool(self.warm_start) and hasattr(self, "net_")

    def _begin(self, X, y, sample_weight, *, fresh, chunk=False, purpose=None):
        """The next training: a whole fit, or a chunk of samples for one epoch.

        A fit with a ``purpose`` has a checkpoint, if that was asked for.
        """
        class_index = validate_labels(y, self.classes_)
        weight = training_weights(
            sample_weight, self.class_weight, class_index, self.classes_, relative=not chunk
        )
        rows = np.arange(len(class_index))
        if weight is not None and not weight.all():
            # Weight 0 excludes a sample, from batch norm and the separation check too.
            rows = np.flatnonzero(weight)
            X, class_index, weight = X[rows], class_index[rows], weight[rows]
        names = getattr(self, "feature_names_in_", None)
        # One cycle must know where training ends.
        open_ended = self.stop_at_separation and self.lr_schedule == "one_cycle"
        constant = chunk or open_ended
        settings = self._training_settings(
            "constant" if constant else self.lr_schedule,
            samples_per_step(self.batch_size, len(rows)),
        )
        checkpoint = None
        if purpose is not None and self.checkpoint is not None:
            checkpoint = self._opened(self.checkpoint, purpose, X, class_index, weight, fresh)
        try:
            if fresh:
                seed = None if checkpoint is None else checkpoint.seed
                self._run = TrainingRun(
                    settings,
                    X,
                    n_classes=len(self.classes_),
                    device=resolve_device(self.device),
                    # A RandomState is drawn from in any case.
                    seed=self._seed()
                    if seed is None or self.random_state is not None
                    else seed,
                    names=names,
                )
                self.net_ = self._run.net
            else:
                self._run.update(settings)
            samples = self._run.samples(X, class_index, weight, names)
        except BaseException:
            if checkpoint is not None:
                checkpoint.close()
            raise
        epochs = n_epochs(self.max_epochs, bool(self.stop_at_separation))
        return TrainingPart(self._run, samples, rows, epochs, checkpoint)

    def _opened(self, folder, purpose, X, class_index, weight, fresh):
        """The checkpoint of a fit; None, with a warning, if there cannot be one."""
        if self.callbacks:
            reason = "it has callbacks, whose state is not known"
        else:
            try:
                return Checkpoint(
                    folder,
                    content_hash(
                        self,
                        purpose,
                        sources_of(self),
                        (X, class_index, weight, self.classes_),
                        str(resolve_device(self.device)),
                        versions_of_libraries(),
                        None if fresh else training_hash(self._run),
                    ),
                    self.checkpoint_every,
                )
            except Unhashable as error:
                reason = str(error)
        warn_caller(f"checkpoint={str(folder)!r} keeps nothing of this fit: {reason}.")
        return None

    def _training_settings(self, lr_schedule, batch_size):
        stop = self.stop_at_separation
        return TrainingSettings(
            module=self.module,
            criterion=self.criterion,
            optimizer=self.optimizer,
            lr=learning_rate(self.lr, lr_schedule),
            lr_schedule=lr_schedule,
            weight_decay=self.weight_decay,
            batch_size=batch_size,
            restore_best=self.restore_best,
            callbacks=self.callbacks,
            verbose=self.verbose,
            stop=bool(stop),
            share=1.0 if isinstance(stop, bool | np.bool_) else stop,
            nested=nested_params(self),
        )

    def _seed(self):
        if self.random_state is None:
            # From the operating system: NumPy's global generator must not change.
            return int(np.random.SeedSequence().generate_state(1)[0])
        return int(check_random_state(self.random_state).randint(2**31 - 1))

    @contextmanager
    def _aside(self, continues=None):
        """A copy to be trained in the block, whose state this estimator takes over at its end.

        It is taken over in one step: other threads predict with what was fitted before. If the
        block raises, nothing has changed. A training that is continued is shared by both, and
        is then restored; threads that predict with it wait.
        """
        before = dict(vars(self))
        trained = _of_state(self, dict(before))
        with ExitStack() as alone:
            if self._warm() if continues is None else continues:
                alone.enter_context(drawing_alone())
                alone.enter_context(training(trained._run.net.module_))
                alone.enter_context(trained._run.kept_on_error())
            yield trained
            after = vars(trained)
            # What others have set meanwhile stays, such as parameters, but no result of a fit.
            kept = {
                name: value
                for name, value in vars(self).items()
                if not (name.endswith("_") or name == "_run")
                and after.get(name) is before.get(name)
            }
            self.__dict__ = {**after, **kept}

    # --- results of training --------------------------------------------------------

    @property
    def history_(self) -> History:
        """skorch's history of the training: one row per epoch."""
        return self._fitted().net.history

    @property
    def loss_curve_(self) -> list[float]:
        """Mean training loss of each completed epoch."""
        return [row["train_loss"] for row in self.history_ if "train_loss" in row]

    @property
    def n_iter_(self) -> int:
        """Number of completed epochs."""
        return len(self.loss_curve_)

    @property
    def best_epoch_(self) -> int | None:
        """The epoch, from 1, whose weights ``restore_best`` kept; None without it."""
        callback = self._fitted().best_epoch
        return None if callback is None else callback.epoch_

    @property
    def separated_(self) -> bool:
        """Whether every sample of the last training is correctly classified."""
        return self._fitted().separation.separated_

    @property
    def separation_epoch_(self) -> int | None:
        """The first epoch (from 1) after which it was, or None."""
        return self._fitted().separation.epoch_

    def _fitted(self):
        try:
            return vars(self)["_run"]
        except KeyError:
            raise AttributeError(
                "This MarginClassifier is not fitted yet: call fit first."
            ) from None

    # --- predicting -----------------------------------------------------------------

    def predict(self, X: Any) -> NDArray[Any]:
        """Most likely label of each sample.

        Parameters
        ----------
        X : {array-like, sparse matrix, DataFrame, tensor} of shape (n_samples, ...)
            Samples with the columns seen in :meth:`fit`.

        Returns
        -------
        y : ndarray of shape (n_samples,)
        """
        check_is_fitted(self, "net_")
        fitted = self._now()
        return fitted.classes_[fitted._of_network(class_indices, X)]

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Softmax of the logits.

        Parameters
        ----------
        X : {array-like, sparse matrix, DataFrame, tensor} of shape (n_samples, ...)
            Samples with the columns seen in :meth:`fit`.

        Returns
        -------
        proba : ndarray of float64 of shape (n_samples, n_classes)
            Columns in the order of ``classes_``.
        """
        return softmax(self._logits(X).astype(np.float64), axis=1)

    def predict_log_proba(self, X: Any) -> NDArray[np.float64]:
        """Logarithm of the softmax of the logits.

        Parameters
        ----------
        X : {array-like, sparse matrix, DataFrame, tensor} of shape (n_samples, ...)
            Samples with the columns seen in :meth:`fit`.

        Returns
        -------
        log_proba : ndarray of float64 of shape (n_samples, n_classes)
            Columns in the order of ``classes_``.
        """
        return log_softmax(self._logits(X).astype(np.float64), axis=1)

    def decision_function(self, X: Any) -> NDArray[Any]:
        """Logits; for two classes, their difference.

        Parameters
        ----------
        X : {array-like, sparse matrix, DataFrame, tensor} of shape (n_samples, ...)
            Samples with the columns seen in :meth:`fit`.

        Returns
        -------
        scores : ndarray of float32 of shape (n_samples, n_classes) or (n_samples,)
            For two classes, positive where ``classes_[1]`` is predicted.
        """
        logits = self._logits(X)
        return logits[:, 1] - logits[:, 0] if logits.shape[1] == 2 else logits

    def _logits(self, X):
        return self._now()._of_network(logits_of, X)

    def _now(self):
        """What is fitted now: another thread may fit this estimator again."""
        return _of_state(self, vars(self))

    def _of_network(self, function, X):
        check_is_fitted(self, "net_")
        X = validate_predict(self, X)
        with reading(self.net_.module_):
            return function(self.net_, X, getattr(self, "feature_names_in_", None))


def _of_state(estimator, state):
    """An estimator of the same class with these attributes, as they are."""
    found = object.__new__(type(estimator))
    found.__dict__ = state
    return found


class TrainingPart(NamedTuple):
    """A training that is about to start or continue.

    Parameters
    ----------
    run : TrainingRun
    samples : Samples
        The samples to train on.
    rows : ndarray of int of shape (len(samples),)
        Row indices of the samples in the user's X, without samples of weight 0.
    epochs : int
        Number of epochs, from the classifier's ``max_epochs``.
    checkpoint : Checkpoint or None
        The training resumes from it.
    """

    run: TrainingRun
    samples: Samples
    rows: np.ndarray
    epochs: int
    checkpoint: Checkpoint | None = None

    def train(self, watch=None):
        """Train, or resume the training, with a further callback."""
        return self.run.fit(self.samples, self.epochs, watch=watch, checkpoint=self.checkpoint)

    def resumable(self):
        """Context of the work of which the checkpoint is removed when it has finished."""
        if self.checkpoint is None:
            return nullcontext()
        return self.checkpoint.until_finished(self.run)


def begin_fit(
    classifier: MarginClassifier,
    X: Any,
    y: Any,
    sample_weight: ArrayLike | None = None,
    *,
    purpose: str | None = None,
) -> TrainingPart:
    """The part of :meth:`MarginClassifier.fit` between its parameter checks and the training.

    Parameters
    ----------
    classifier : MarginClassifier
        Modified: its previous training is discarded, unless its ``warm_start`` keeps it.
    X, y, sample_weight
        As for its ``fit``.
    purpose : str, default=None
        What the training is for, if it has the classifier's ``checkpoint``: one for another
        purpose has other callbacks, and its state is kept apart. The work must then be done
        within ``part.resumable()``.

    Returns
    -------
    part : TrainingPart
        ``part.train()`` trains the classifier.
    """
    warm = classifier._warm()
    X, y = validate_fit(classifier, X, y, reset=not warm)
    if warm:
        check_classes_again(y, classifier.classes_)
    else:
        classifier.classes_ = np.unique(y)
    return classifier._begin(X, y, sample_weight, fresh=not warm, purpose=purpose)


def warn_unless_separated(classifier: MarginClassifier, n_epochs: int) -> None:
    """Warn if training was to stop at separation, but did not reach it.

    Parameters
    ----------
    classifier : MarginClassifier
        Fitted.
    n_epochs : int
        Number of epochs of its last training.

    Warns
    -----
    NotSeparatedWarning
        Unless it was interrupted.
    """
    run = training_run(classifier)
    if classifier.stop_at_separation and not classifier.separated_ and not run.interrupted:
        warn_caller(
            f"The network does not separate its training data after {n_epochs} epochs: its "
            "training accuracy in the last epoch was "
            f"{classifier.history_[-1]['train_accuracy']:.4f}. Raise max_epochs, widen the "
            "network, or lower dropout or weight_decay; contradictory labels cannot be "
            "separated.",
            NotSeparatedWarning,
        )


@as_network.register(MarginClassifier)
def _network_of(estimator):
    check_is_fitted(estimator, "net_")
    estimator = _of_state(estimator, vars(estimator))
    return replace(
        estimator.net_.network,
        prepare=lambda rows: validate_predict(estimator, rows),
        encode=lambda y: validate_labels(y, estimator.classes_),
        guard=partial(reading, estimator.net_.module_),
    )


def training_run(classifier: MarginClassifier) -> TrainingRun:
    """The training of a fitted classifier.

    Parameters
    ----------
    classifier : MarginClassifier
        Fitted.

    Returns
    -------
    run : TrainingRun
    """
    return classifier._fitted()
