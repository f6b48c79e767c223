"""What a fitted search knows of its candidates."""

import numpy as np

from ..model_selection.search import MarginSearchCV
from ..model_selection.splits import ResubstitutionSplit
from ..scoring.scorer import MarginAUCScorer

__all__ = ["scores_of_search", "values_of_candidates"]


def scores_of_search(search, X_test, y_test, *, margin_auc_alone):
    """Margin-AUC of the candidates of a search, another score, and what that is.

    Parameters
    ----------
    search : MarginSearchCV or a search of scikit-learn
        A fitted one.
    X_test, y_test : array-like or None
        Samples on which the networks that were kept are scored.
    margin_auc_alone : bool
        Whether no other score is needed.

    Returns
    -------
    margin_auc, score : ndarray of shape (n_candidates,)
        ``score`` may be None if it is not needed.
    score_name : str

    Raises
    ------
    TypeError
        If none of the scores is margin-AUC.
    ValueError
        If there is no other score.
    """
    found = _of_margin_search if isinstance(search, MarginSearchCV) else _of_other_search
    return found(search, X_test, y_test, margin_auc_alone)


def _of_margin_search(search, X_test, y_test, margin_auc_alone):
    results = search.cv_results_
    what = "accuracy" if search.scoring is None else _name_of(search.scoring)
    if X_test is None:
        score, name = results["mean_test_score"], f"Cross-validated {what}"
        if not margin_auc_alone and not np.isfinite(score).any():
            raise ValueError(
                "No candidate was cross-validated (shortlist=None): pass X_test and y_test, "
                "or param."
            )
        return results["margin_auc"], score, name
    score = np.full(len(results["params"]), np.nan)
    score[search.shortlist_indices_] = [
        search.scorer_(network, X_test, y_test) for network in search.shortlist_estimators_
    ]
    return results["margin_auc"], score, f"Test {what}"


def _of_other_search(search, X_test, y_test, margin_auc_alone):
    scorers = search.scorer_ if isinstance(search.scorer_, dict) else {"score": search.scorer_}
    ours = [name for name, one in scorers.items() if isinstance(one, MarginAUCScorer)]
    both = (
        'scoring={"accuracy": "accuracy", "margin_auc": margin_auc_score} and '
        'refit="margin_auc" (or MarginSearchCV)'
    )
    if not ours:
        raise TypeError(
            f"None of the scores of {type(search).__name__} ({', '.join(map(str, scorers))}) "
            f"is margin-AUC: search with {both}."
        )
    if X_test is not None:
        raise ValueError(
            f"{type(search).__name__} keeps one network only, so that X_test cannot be scored "
            "by the others: MarginSearchCV keeps its best ones."
        )
    results, others = search.cv_results_, [name for name in scorers if name not in ours]
    margin_auc = results[f"mean_test_{ours[0]}"]
    if margin_auc_alone:
        return margin_auc, None, ""
    if not others:
        raise ValueError(
            f"The only score of {type(search).__name__} is margin-AUC: pass param, or search "
            f"with {both}."
        )
    chosen = search.refit if search.refit in others else others[0]
    where = (
        f"Training {chosen}"
        if isinstance(search.cv, ResubstitutionSplit)
        else f"Cross-validated {chosen}"
    )
    return margin_auc, results[f"mean_test_{chosen}"], where


def _name_of(scoring):
    return scoring if isinstance(scoring, str) else getattr(scoring, "__name__", "score")


def values_of_candidates(candidates, param):
    """Value of a parameter for each candidate, "not set" where there is none.

    Parameters
    ----------
    candidates : list of dict
    param : str

    Raises
    ------
    ValueError
        If no candidate has the parameter.
    """
    values = [candidate.get(param, "not set") for candidate in candidates]
    if all(param not in candidate for candidate in candidates):
        names = sorted({name for candidate in candidates for name in candidate})
        raise ValueError(f"No candidate has the parameter {param!r}; there are {names}.")
    return values
