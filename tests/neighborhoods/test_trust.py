import numpy as np
import pytest
import scipy.sparse
import torch
from sklearn.datasets import make_blobs

from margin_sklearn.adapters.network import Network
from margin_sklearn.neighborhoods.perturbed import pseudo_points
from margin_sklearn.neighborhoods.trust import label_trust

PLAIN = Network(torch.nn.Identity(), np.asarray, np.asarray, torch.float64)


@pytest.fixture
def blobs():
    return make_blobs(60, 3, centers=3, random_state=0)


def flipped(y, share):
    random = np.random.default_rng(0)
    wrong = random.random(len(y)) < share
    n_classes = y.max() + 1
    return np.where(wrong, (y + random.integers(1, n_classes, len(y))) % n_classes, y), wrong


def test_labels_unlike_those_of_the_neighbors_are_trusted_less(digits):
    X, y = digits
    noisy, wrong = flipped(y, 0.2)
    points = pseudo_points(PLAIN, X, noisy, None)
    trust = points.trust[points.case]
    assert trust.shape == y.shape
    assert trust.min() >= 0
    assert trust.max() <= 1
    assert trust[wrong].mean() < 0.4
    assert trust[~wrong].mean() > 0.8


def by_bayes_rule(share, n_classes):
    noise = np.mean(1 - share)
    return (1 - noise) * share / ((1 - noise) * share + noise / n_classes)


def test_trust_is_bayes_rule_with_the_shares_among_the_neighbors(blobs):
    X, y = blobs
    y, _ = flipped(y, 0.3)
    points = pseudo_points(PLAIN, X, y, 40)
    hood = points.neighborhood
    share = np.array(
        [
            (np.sum(y[around] == y[anchor]) + 1 / 3) / (len(around) + 1)
            for anchor, around in zip(hood.anchors, hood.neighbors, strict=True)
        ]
    )
    np.testing.assert_allclose(points.trust, by_bayes_rule(share, 3))


def test_of_neighbors_with_several_labels_each_counts_by_its_share():
    """Row 1 has label 0 three times of four; row 2 has label 2."""
    counts = scipy.sparse.csr_array([[1, 1, 0], [3, 1, 0], [0, 0, 2]])
    neighbors = np.array([[1, 2], [2, 0]])
    anchor, label = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 2])
    share = (np.array([0.75, 0.25, 0.5, 1.0]) + 1 / 3) / 3
    found = label_trust(counts, neighbors, anchor, label)
    np.testing.assert_allclose(found, by_bayes_rule(share, 3))


def test_classes_that_are_not_there_do_not_count():
    counts = np.zeros((4, 9))
    counts[[0, 1, 2, 3], [7, 7, 4, 7]] = 1
    neighbors = np.array([[1, 2], [2, 3]])
    anchor, label = np.array([0, 1]), np.array([7, 7])
    found = label_trust(scipy.sparse.csr_array(counts), neighbors, anchor, label)
    two = label_trust(
        scipy.sparse.csr_array(counts[:, [4, 7]]), neighbors, anchor, np.array([1, 1])
    )
    np.testing.assert_allclose(found, two)


def test_the_names_of_classes_do_not_matter_for_trust(blobs):
    X, y = blobs
    y, _ = flipped(y, 0.3)
    trust = pseudo_points(PLAIN, X, y, None).trust
    renamed = pseudo_points(PLAIN, X, 7 - 2 * y, None)
    np.testing.assert_allclose(renamed.trust, trust)
    one_class = pseudo_points(PLAIN, X, np.zeros_like(y), None).trust
    assert (one_class > 0.9).all()
