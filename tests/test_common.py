"""scikit-learn's own checks of estimators."""

import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from margin_sklearn import (
    LabelErrorDetector,
    MarginClassifier,
    MarginSearchCV,
    MarginSubsetSelector,
    make_margin_auc_scorer,
)

# Weights equal repetitions only where nothing but the loss sees the samples. Mini-batches are
# drawn from the rows, batch norm averages over rows and dropout draws a mask a row, so another
# number of rows is another run. In full batches, without both, they are equal up to float32
# (tests/test_classifier.py, test_weights_are_repetitions_in_full_batches); the check asks for
# 1e-7, which float32 does not have.
EXPECTED_FAILURES = {
    "check_sample_weight_equivalence_on_dense_data": "mini-batches, batch norm and float32",
    "check_sample_weight_equivalence_on_sparse_data": "mini-batches, batch norm and float32",
}


@parametrize_with_checks(
    [MarginClassifier(device="cpu")],
    expected_failed_checks=lambda estimator: EXPECTED_FAILURES,
)
def test_scikit_learns_checks(estimator, check):
    check(estimator)


# The checks fit hundreds of times, and are not about the network.
SMALL = MarginClassifier(
    device="cpu",
    module__hidden_layer_sizes=(16,),
    module__embeddings=None,
    max_epochs=10,
)

# transform picks rows, by their positions in the X of fit: as they are, fewer than given,
# and of an X of the same length only. So checks fail that want it to look at values, to give
# as many rows as it takes, or to take some rows, one row or a test set.
SELECTOR_FAILURES = {
    **EXPECTED_FAILURES,
    "check_estimators_nan_inf": "transform does not look at values",
    "check_transformer_data_not_an_array": "transform gives fewer rows",
    "check_transformer_general": "transform gives fewer rows",
    "check_methods_sample_order_invariance": "transform goes by positions",
    "check_methods_subset_invariance": "transform takes all rows or none",
    "check_fit_idempotent": "transform does not take a test set",
}


@parametrize_with_checks(
    [MarginSubsetSelector(SMALL)],
    expected_failed_checks=lambda estimator: SELECTOR_FAILURES,
)
# The checks' data are few, and not to be separated; fit_transform always warns.
@pytest.mark.filterwarnings("ignore:The network does not separate")
@pytest.mark.filterwarnings("ignore:n_samples_to_select=0.01 of")
@pytest.mark.filterwarnings("ignore:MarginSubsetSelector.fit_transform leaves rows out")
def test_scikit_learns_checks_of_the_selector(estimator, check):
    check(estimator)


@parametrize_with_checks([LabelErrorDetector(SMALL)])
# Classes of a few samples, and labels at random.
@pytest.mark.filterwarnings("ignore:The labels of the classes")
@pytest.mark.filterwarnings("ignore:.*of the labels are suspect")
@pytest.mark.filterwarnings("ignore:All labels of the classes")
@pytest.mark.filterwarnings("ignore:Most labels of the classes")
def test_scikit_learns_checks_of_the_detector(estimator, check):
    check(estimator)


SAMPLES = make_margin_auc_scorer()
LINEAR = MarginSearchCV(
    LogisticRegression(),
    {"C": [0.1, 1.0]},
    cv=2,
    margin_scoring=SAMPLES,
    error_score="raise",
)
PIPELINE = MarginSearchCV(
    make_pipeline(StandardScaler(), LogisticRegression()),
    {"logisticregression__C": [0.1, 1.0]},
    shortlist=None,
    vote=2,
    margin_scoring=SAMPLES,
    error_score="raise",
)
NETWORKS = MarginSearchCV(
    # The checks set the search's random_state, which is not that of its networks.
    clone(SMALL).set_params(random_state=0),
    {"module__hidden_layer_sizes": [(16,)]},
    shortlist=None,
    margin_scoring=make_margin_auc_scorer(scale=None),
    error_score="raise",
)


@parametrize_with_checks([LINEAR, PIPELINE, NETWORKS])
def test_scikit_learns_checks_of_the_search(estimator, check):
    check(estimator)
