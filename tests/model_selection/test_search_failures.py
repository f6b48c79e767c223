"""MarginSearchCV where fits fail, scores are not numbers, Ctrl-C is pressed, input is bad."""

import signal

import numpy as np
import pytest
from scipy.stats import loguniform
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import FitFailedWarning, NotFittedError
from sklearn.linear_model import LinearRegression, LogisticRegression, RidgeClassifier
from sklearn.metrics import accuracy_score
from sklearn.model_selection import KFold
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from skorch.callbacks import Callback

from margin_sklearn import (
    MarginClassifier,
    MarginSearchCV,
    make_margin_auc_scorer,
    margin_auc_score,
    margins,
)
from margin_sklearn.model_selection import fitting
from margin_sklearn.model_selection import settings as search_settings
from margin_sklearn.model_selection.decision import (
    final_order,
    n_voters,
    order_by_margin_auc,
    shortlist_size,
)

SAMPLES = make_margin_auc_scorer()


class Fussy(LogisticRegression):
    """A linear classifier that fails for some of its settings."""

    def __init__(self, C=1.0, fails=False, least=0):
        super().__init__(C=C)
        self.fails = fails
        self.least = least

    def fit(self, X, y, sample_weight=None):
        if self.fails or len(X) < self.least:
            raise RuntimeError("no luck")
        return super().fit(X, y, sample_weight)


class Scorer:
    """A scorer that returns (or does) what a function makes of the estimator."""

    def __init__(self, function):
        self.function = function

    def __call__(self, estimator, X, y):
        return self.function(estimator)


def fussy(grid=None, **settings):
    given = {"cv": 2, "margin_scoring": SAMPLES, "shortlist": 2}
    return MarginSearchCV(Fussy(), grid or {"C": [0.1, 1.0, 10.0]}, **{**given, **settings})


GRID = [{"C": [0.1, 1.0]}, {"fails": [True]}, {"C": [10.0]}]


# --- decisions --------------------------------------------------------------------------


def test_sizes():
    assert [shortlist_size(n) for n in (1, 25, 26, 100, 1000)] == [5, 5, 6, 10, 32]
    assert [n_voters(n) for n in (1, 2, 4, 5, 24, 128)] == [1, 2, 2, 3, 5, 12]


def test_orders():
    nan, inf = np.nan, np.inf
    margin_auc = np.array([0.5, nan, 0.7, -inf, 0.7, 0.9, inf])
    assert order_by_margin_auc(margin_auc).tolist() == [5, 2, 4, 0, 3, 6, 1]
    nothing = np.zeros(7, dtype=bool)
    assert final_order(margin_auc, np.full(7, nan), nothing).tolist() == [5, 2, 4, 0, 3, 6, 1]
    cv = np.array([0.2, nan, 0.1, nan, 0.1, nan, nan])
    three = np.array([True, False, True, False, True, False, False])
    assert final_order(margin_auc, cv, three).tolist() == [0, 2, 4, 5, 3, 6, 1]
    # A failed fold puts a candidate behind those that were not cross-validated.
    cv[0], three[5] = nan, True
    assert final_order(margin_auc, cv, three).tolist() == [2, 4, 5, 0, 3, 6, 1]
    # Equal scores in cross-validation: the larger margin-AUC.
    cv, both = np.array([0.5, 0.5, 0.4]), np.ones(3, dtype=bool)
    assert final_order(np.array([0.1, 0.2, 0.9]), cv, both).tolist() == [1, 0, 2]


# --- failures ---------------------------------------------------------------------------


@pytest.mark.parametrize("error_score", [np.nan, 2.0])
@pytest.mark.parametrize("shortlist", [None, 2, 4])
def test_a_candidate_that_fails_comes_last(binary, error_score, shortlist):
    search = fussy(GRID, error_score=error_score, shortlist=shortlist)
    with pytest.warns(FitFailedWarning, match="(?s)1 fits failed out of.* 4.*no luck"):
        search.fit(*binary)
    results = search.cv_results_
    np.testing.assert_equal(results["margin_auc"][2], error_score)
    assert results["rank_margin_auc"][2] == results["rank_test_score"][2] == 4
    assert not results["shortlisted"][2]
    assert search.best_params_ != {"fails": True}
    assert len(search.shortlist_estimators_) == 2


def test_a_candidate_that_fails_in_a_fold_comes_last(binary):
    X, y = binary
    search = fussy([{"C": [1.0]}, {"least": [101]}], cv=2)
    with pytest.warns(FitFailedWarning, match="2 fits failed out of a total of 4"):
        search.fit(X, y)
    assert search.best_params_ == {"C": 1.0}
    assert np.isnan(search.cv_results_["mean_test_score"][1])
    assert np.isfinite(search.cv_results_["margin_auc"]).all()


def test_errors_are_passed_on(binary):
    with pytest.raises(RuntimeError, match="no luck"):
        fussy(GRID, error_score="raise").fit(*binary)

    def broken(estimator):
        raise OSError("no score")

    for name in ("margin_scoring", "scoring"):
        with pytest.raises(OSError, match="no score"):
            fussy(**{name: Scorer(broken)}, error_score="raise").fit(*binary)
        with pytest.raises(ValueError, match=f"(?s){name} failed for every fitted.*no score"):
            fussy(**{name: Scorer(broken)}).fit(*binary)


def test_all_failing_is_an_error(binary):
    with pytest.raises(ValueError, match="(?s)All the 2 fits failed.*no luck"):
        fussy({"fails": [True], "C": [1.0, 2.0]}).fit(*binary)
    with pytest.raises(ValueError, match="(?s)All the 2 fits failed.*no luck"):
        fussy({"least": [101]}, cv=2).fit(*binary)


def test_a_network_that_diverges_comes_last(iris):
    X, y = iris
    model = MarginClassifier(
        optimizer="sgd", lr_schedule="constant", max_epochs=2, random_state=0, device="cpu"
    )
    search = MarginSearchCV(model, {"lr": [1e-2, 1e30, 1e-3]}, cv=2)
    with pytest.warns(FitFailedWarning, match="1 fits failed"):
        search.fit(X, y)
    assert np.isnan(search.cv_results_["margin_auc"][1])
    assert search.cv_results_["rank_test_score"][1] == 3


def test_a_score_that_fails_for_some(binary):
    def score(estimator):
        if estimator.C > 1:
            raise OSError("no score")
        return estimator.C

    with pytest.warns(UserWarning, match="(?s)margin_scoring failed for 1 of 3.*no score"):
        search = fussy(margin_scoring=Scorer(score), shortlist=None).fit(*binary)
    assert search.best_params_ == {"C": 1.0}
    with pytest.warns(UserWarning, match="(?s)scoring failed for 2 of 6.*no score"):
        search = fussy(scoring=Scorer(score), shortlist=3).fit(*binary)
    assert search.best_params_ == {"C": 1.0}
    assert np.isnan(search.cv_results_["mean_test_score"][2])


@pytest.mark.parametrize("value", [np.nan, -np.inf, np.inf])
def test_scores_that_are_not_finite_come_last(binary, value):
    scorer = Scorer(lambda estimator: value if estimator.C > 1 else estimator.C)
    with pytest.warns(UserWarning, match="1 of 3 scores of margin_scoring are not finite"):
        search = fussy(margin_scoring=scorer, shortlist=None).fit(*binary)
    assert search.cv_results_["rank_margin_auc"].tolist() == [2, 1, 3]
    with pytest.warns(UserWarning, match="2 of 6 scores of scoring are not finite"):
        search = fussy(scoring=scorer, shortlist=3).fit(*binary)
    assert search.cv_results_["rank_test_score"].tolist() == [2, 1, 3]
    all_alike = Scorer(lambda estimator: value)
    with (
        pytest.warns(UserWarning, match="are not finite"),
        pytest.raises(ValueError, match="No candidate of the shortlist has a finite"),
    ):
        fussy(scoring=all_alike).fit(*binary)


@pytest.mark.parametrize("value", [{"a": 1.0}, "0.5", None, np.ones(2), 1j])
def test_scores_that_are_no_numbers(binary, value):
    for name in ("margin_scoring", "scoring"):
        with pytest.raises(ValueError, match="must return one number"):
            fussy(**{name: Scorer(lambda estimator: value)}).fit(*binary)


def test_a_vote_of_those_left(binary):
    with (
        pytest.warns(FitFailedWarning),
        pytest.warns(UserWarning, match="Only 3 of vote=4 candidates can vote"),
    ):
        search = fussy(GRID, vote=4).fit(*binary)
    assert len(search.vote_.estimators_) == 3


def test_a_failed_fit_keeps_the_earlier_one(binary):
    X, y = binary
    search = fussy().fit(X, y)
    before = dict(vars(search))
    for given in ({"param_grid": {"fails": [True]}}, {"cv": 1000}, {"vote": 9}, {"cv": "no"}):
        old = {name: getattr(search, name) for name in given}
        with pytest.raises(ValueError):  # noqa: PT011
            search.set_params(**given).fit(X, y)
        search.set_params(**old)
        assert vars(search) == before
    with pytest.raises(ValueError, match="one class"):
        search.fit(X, np.zeros(len(y)))
    assert vars(search) == before
    assert search.predict(X).shape == y.shape


# --- interrupts -------------------------------------------------------------------------


class PressAt(Callback):
    """Ctrl-C after the first epoch of the n-th training."""

    n_trainings = 0

    def __init__(self, n):
        self.n = n

    def on_epoch_end(self, net, **kwargs):
        PressAt.n_trainings += len(net.history) == 1
        if PressAt.n_trainings == self.n:
            signal.raise_signal(signal.SIGINT)


def interrupted(n, **settings):
    PressAt.n_trainings = 0
    model = MarginClassifier(
        module__hidden_layer_sizes=(4,),
        max_epochs=3,
        random_state=0,
        device="cpu",
        callbacks=[PressAt(n)],
    )
    given = {"shortlist": 2, "cv": 2, **settings}
    return MarginSearchCV(model, {"lr": [1e-4, 1e-3, 1e-2]}, **given)


@pytest.mark.filterwarnings("ignore:Training was interrupted")
def test_an_interrupt_keeps_the_candidates_finished(iris):
    X, y = iris
    with pytest.warns(UserWarning, match="interrupted after 2 of 7 fits"):
        search = interrupted(3).fit(X, y)
    results = search.cv_results_
    assert np.isnan(results["margin_auc"]).tolist() == [False, False, True]
    assert np.isnan(results["mean_fit_time"]).tolist() == [False, False, True]
    assert np.isnan(results["split0_test_score"]).all()
    assert search.best_index_ == np.nanargmax(results["margin_auc"])
    assert search.n_fits_ == 2
    assert len(search.shortlist_estimators_) == 2
    assert search.best_estimator_.n_iter_ == 3
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.filterwarnings("ignore:Training was interrupted")
def test_an_interrupt_keeps_the_folds_finished(iris):
    X, y = iris
    with pytest.warns(UserWarning, match="interrupted after 6 of 7 fits"):
        search = interrupted(7).fit(X, y)
    results = search.cv_results_
    assert np.isfinite(results["margin_auc"]).all()
    assert np.isfinite(results["mean_test_score"]).sum() == 1
    assert np.isfinite(results["split0_test_score"]).sum() == 2
    assert search.best_index_ == np.nanargmax(results["mean_test_score"])
    with pytest.warns(UserWarning, match="interrupted after 4 of 7 fits"):
        search = interrupted(5).fit(X, y)
    assert np.isnan(search.cv_results_["mean_test_score"]).all()
    assert search.best_index_ == search.cv_results_["margin_auc"].argmax()


@pytest.mark.filterwarnings("ignore:Training was interrupted")
def test_an_interrupt_before_anything_is_finished(iris):
    X, y = iris
    search = interrupted(1)
    with pytest.raises(KeyboardInterrupt):
        search.fit(X, y)
    with pytest.raises(NotFittedError):
        search.predict(X)


def test_an_interrupt_between_fits(binary, monkeypatch):
    real = fitting.score_group

    def score(*args):
        if args[0][0].C > 1:
            raise KeyboardInterrupt
        return real(*args)

    monkeypatch.setattr(fitting, "score_group", score)
    with pytest.warns(UserWarning, match="interrupted after 2 of 7 fits"):
        search = fussy().fit(*binary)
    assert np.isnan(search.cv_results_["margin_auc"]).tolist() == [False, False, True]


# --- what is shown ----------------------------------------------------------------------


def test_verbose(binary, capsys):
    fussy(verbose=0).fit(*binary)
    assert capsys.readouterr() == ("", "")
    fussy(verbose=2).fit(*binary)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 7
    assert lines[0].startswith("[1/7] candidate 0: margin-AUC 0.")
    assert "{'C': 0.1}" in lines[0]
    assert "fold 1 score" in lines[6]
    fussy(verbose=1).fit(*binary)
    out, bar = capsys.readouterr()
    assert out == ""
    assert "7/7" in bar
    assert "best_margin_auc" in bar
    assert "best_score" in bar


def test_a_gpu_and_several_processes(iris, monkeypatch):
    class Device:
        type = "cuda"

    monkeypatch.setattr(search_settings, "resolve_device", lambda device: Device)
    model = make_pipeline(MarginClassifier(max_epochs=1, device="cpu"))
    search = MarginSearchCV(model, {}, shortlist=None, n_jobs=2)
    with pytest.warns(UserWarning, match="n_jobs=2 makes several processes share one GPU"):
        search.fit(*iris)


# --- bad input --------------------------------------------------------------------------

BAD = [
    ("estimator", (None, 3, LogisticRegression, "logistic"), "an object with fit"),
    ("param_grid", (None, 3, "C", [3], []), "a dict"),
    (
        "param_grid",
        ({"C": 1.0}, {"C": "auto"}, {"C": {1.0}}, {"C": np.ones((2, 2))}),
        "a list",
    ),
    ("param_grid", ({"C": []}, [{"C": np.ones(0)}]), "at least one value"),
    ("param_grid", ({3: [1.0]},), "strings"),
    ("param_grid", ({"C": loguniform(1, 2)},), "pass n_iter"),
    ("n_iter", (0, -1, 2.5, "5", True), "None or an integer of at least 1"),
    ("shortlist", (0, -1, 2.5, "all", True), "None or 'auto' or an integer of at least 1"),
    ("vote", (0, -1, 2.5, "all", None, True), "'auto' or an integer of at least 1"),
    ("vote", (4, 100), "at most the number of candidates, 3"),
    ("cv", (None, True, 1, 0, -2, 2.5, "no"), "cv"),
    ("cv", (KFold(500), 500, []), "Pass another cv"),
    ("scoring", (3, ["accuracy"], {"a": "accuracy"}, ("accuracy",)), "one callable scorer"),
    ("scoring", (margin_auc_score, SAMPLES), "belongs in margin_scoring"),
    ("scoring", ("exactness", accuracy_score), "scor"),
    ("margin_scoring", (None, "accuracy", 3, Scorer), "a scorer"),
    ("margin_scoring", (accuracy_score,), "scor"),
    ("stack", ("yes", None, 1), "True or False"),
    ("memory", (3, "", True, __file__), "the path of a folder"),
    ("n_jobs", (0, 1.5, "2", True), "None or an integer"),
    ("error_score", ("ignore", None, True), "a number, NaN or 'raise'"),
    ("verbose", (-1, None, "yes"), "an integer of at least 0"),
    ("random_state", ("a", -1, 1.5), "None, an integer"),
]


@pytest.mark.parametrize(
    ("name", "value", "word"),
    [
        pytest.param(name, value, word, id=f"{name}={str(value)[:20]}")
        for name, values, word in BAD
        for value in values
    ],
)
def test_settings(binary, name, value, word, monkeypatch):
    monkeypatch.setattr(fitting, "fit_group", None)  # before any fit
    search = fussy()
    setattr(search, name, value)
    with pytest.raises(ValueError, match=word) as caught:
        search.fit(*binary)
    if name not in ("cv", "scoring", "margin_scoring"):
        assert str(caught.value).startswith(name)


def test_unknown_parameters_are_named_with_the_valid_ones(binary, monkeypatch):
    monkeypatch.setattr(fitting, "fit_group", None)
    with pytest.raises(ValueError, match=r"Invalid parameter 'D'.*Valid parameters are.*'C'"):
        fussy({"D": [1.0]}).fit(*binary)


@pytest.mark.parametrize(
    "model", [RandomForestClassifier(), KNeighborsClassifier(), LinearRegression()]
)
def test_estimators_without_margins(binary, model, monkeypatch):
    monkeypatch.setattr(fitting, "fit_group", None)
    for estimator, grid in (
        (model, {}),
        (make_pipeline(model), {}),
        (make_pipeline(LogisticRegression()), {"logisticregression": [model]}),
    ):
        with pytest.raises(TypeError, match="Margins cannot be taken from [A-Z]"):
            MarginSearchCV(estimator, grid).fit(*binary)


def test_votes_need_probabilities(binary, monkeypatch):
    search = MarginSearchCV(RidgeClassifier(), {"alpha": [1.0, 2.0]}, margin_scoring=SAMPLES)
    with pytest.raises(ValueError, match="no predict_proba: RidgeClassifier"):
        search.fit(*binary).voting()
    monkeypatch.setattr(fitting, "fit_group", None)
    with pytest.raises(ValueError, match="no predict_proba: RidgeClassifier"):
        search.set_params(vote=2).fit(*binary)


def test_fewer_samples_of_a_class_than_folds(binary, monkeypatch):
    monkeypatch.setattr(fitting, "fit_group", None)
    X, _ = binary
    with pytest.raises(ValueError, match="cv=5 cannot split .*members in each class. Pass"):
        fussy(cv=5).fit(X[:6], [0, 1] * 3)


def test_before_fit(binary):
    search = fussy()
    for call in (search.predict, search.predict_proba, search.score):
        with pytest.raises(NotFittedError):
            call(binary[0])
    with pytest.raises(NotFittedError):
        search.voting()
    with pytest.raises(NotFittedError):
        margins(search, *binary)
