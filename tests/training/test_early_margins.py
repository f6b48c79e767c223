"""Margins and probabilities are averaged over the same first epochs."""

import numpy as np
import pytest
import torch

from margin_sklearn.adapters.network import logit_margins
from margin_sklearn.training.early_margins import EarlyMargins, n_early

N, N_CLASSES = 6, 3


@pytest.mark.parametrize("planned", [1, 3, 8, 20, 200])
@pytest.mark.parametrize("ended", [1, 2, 4, 6, 9, 12, 30])
def test_means_are_over_the_same_epochs_whenever_training_ends(planned, ended):
    rng = np.random.default_rng(0)
    target = torch.from_numpy(rng.integers(0, N_CLASSES, N))
    watch = EarlyMargins(None, probabilities=True)
    watch.begin(planned)
    margins, probabilities = [], []
    for _ in range(min(planned, ended)):
        logits = torch.from_numpy(rng.normal(size=(N, N_CLASSES)))
        margins.append(logit_margins(logits, target))
        probabilities.append(logits.softmax(dim=1))
        order = torch.from_numpy(rng.permutation(N))
        wanted = logits[order] if watch.wants_logits else None
        watch.add(order, margins[-1][order], wanted)
    n = n_early(min(planned, ended))
    assert watch.n_counted == n
    for found, values in (
        (watch.mean_margins(), margins),
        (watch.mean_probabilities(), probabilities),
    ):
        assert found.dtype == np.float64
        np.testing.assert_allclose(found, torch.stack(values[:n]).mean(dim=0), atol=1e-6)


def test_without_an_epoch_nothing_is_known():
    watch = EarlyMargins(None)
    watch.begin(20)
    with pytest.raises(ValueError, match="interrupted before the first epoch ended"):
        watch.mean_margins()
