import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from margin_sklearn import LabelErrorDetector, MarginClassifier, MarginSubsetSelector
from margin_sklearn.classifier.pipelines import (
    final_classifier,
    fit_transformers,
    pass_on_random_state,
)


def test_the_last_step_is_found_however_deep():
    network = MarginClassifier()
    assert final_classifier(network) is network
    assert final_classifier(make_pipeline(StandardScaler(), network)) is network
    nested = make_pipeline(StandardScaler(), make_pipeline(PCA(), network))
    assert final_classifier(nested) is network
    with pytest.raises(
        TypeError, match=r"The estimator must be a .*LogisticRegression\(\)\.$"
    ):
        final_classifier(make_pipeline(StandardScaler(), LogisticRegression()))


@pytest.mark.parametrize(
    ("user", "hint"), [(LabelErrorDetector(), False), (MarginSubsetSelector(), True)]
)
def test_messages_name_the_class_that_was_used(user, hint):
    wanted = f"The estimator of {type(user).__name__} must be a MarginClassifier"
    with pytest.raises(TypeError, match=wanted) as caught:
        final_classifier(LogisticRegression(), user)
    assert ("prefit" in str(caught.value)) == hint


def test_samplers_are_refused():
    class Sampler:
        def fit_resample(self, X, y):
            return X, y

    pipeline = make_pipeline(StandardScaler(), MarginClassifier())
    pipeline.steps.insert(1, ("thin", Sampler()))
    wanted = "'thin' of the estimator of LabelErrorDetector changes the samples"
    with pytest.raises(TypeError, match=wanted) as caught:
        final_classifier(pipeline, LabelErrorDetector())
    assert "elector" not in str(caught.value)


@pytest.mark.parametrize("memory", [False, True])
def test_transformers_are_fitted_in_place(iris, memory, tmp_path):
    X, y = iris
    network = MarginClassifier()
    cache = str(tmp_path) if memory else None
    pipeline = make_pipeline(PCA(3), make_pipeline(StandardScaler(), network), memory=cache)
    inputs = fit_transformers(pipeline, X, y)
    network.set_params(max_epochs=1, random_state=0).fit(inputs, y)
    expected = StandardScaler().fit_transform(PCA(3).fit_transform(X))
    np.testing.assert_allclose(inputs, expected)
    np.testing.assert_allclose(
        pipeline.predict_proba(X), network.predict_proba(expected), atol=1e-6
    )


def test_without_transformers_there_is_nothing_to_do(iris):
    X, y = iris
    assert fit_transformers(MarginClassifier(), X, y) is X
    assert fit_transformers(make_pipeline(None, MarginClassifier()), X, y) is X


def test_random_state_goes_to_what_has_none():
    seeded, own = PCA(), PCA(random_state=7)
    pipeline = make_pipeline(seeded, own, StandardScaler(), MarginClassifier())
    pass_on_random_state(pipeline, 3)
    assert seeded.random_state == 3
    assert own.random_state == 7
    assert pipeline[-1].random_state == 3
    pass_on_random_state(pipeline, None)
    assert seeded.random_state == 3
