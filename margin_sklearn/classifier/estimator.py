"""MarginClassifier: a PyTorch network as a scikit-learn classifier."""

import copy
import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, Literal, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted

from ..adapters.registry import as_network
from ..data.validation import validate_fit, validate_labels, validate_predict
from ..nn.modules import MLP
from ..runtime import reading
from ..training.build import copied_callback
from .accuracy import ScoresAccuracy
from .fitting import begin_fit, begin_training
from .parameters import NestedParamsEstimator, set_nested
from .predictions import PredictsByNetwork
from .results import TrainingResults, warn_unless_separated
from .settings import check_classes, check_settings
from .state import aside, is_warm, of_now

__all__ = ["MarginClassifier"]


class MarginClassifier(
    TrainingResults, PredictsByNetwork, ScoresAccuracy, NestedParamsEstimator
):
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

    n_features_in_: int
    feature_names_in_: NDArray[Any]
    input_shape_: tuple[int, ...]

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
        with aside(self, is_warm(self)) as trained:
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
        with aside(self, not first) as trained:
            X, y = validate_fit(trained, X, y, reset=first)
            if first:
                trained.classes_ = np.asarray(classes)
            elif classes is not None and not np.array_equal(self.classes_, classes):
                raise ValueError(
                    f"classes={classes} is not the same as in the previous fit: "
                    f"{self.classes_}. Pass the same classes or None."
                )
            part = begin_training(trained, X, y, sample_weight, fresh=first, chunk=True)
            part.run.fit(part.samples, 1)
        return self


@as_network.register(MarginClassifier)
def _network_of(estimator):
    check_is_fitted(estimator, "net_")
    estimator = of_now(estimator)
    return replace(
        estimator.net_.network,
        prepare=lambda rows: validate_predict(estimator, rows),
        encode=lambda y: validate_labels(y, estimator.classes_),
        guard=partial(reading, estimator.net_.module_),
    )
