"""scikit-learn's own checks of estimators."""

from sklearn.utils.estimator_checks import parametrize_with_checks

from margin_sklearn import MarginClassifier

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
