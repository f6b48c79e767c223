"""One run of a search: all candidates on all samples, then the shortlist in folds."""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from sklearn.exceptions import FitFailedWarning

from ..exceptions import warn_caller
from ..training.interrupts import noted_interrupts
from .candidates import Settings
from .decision import order_by_margin_auc
from .fitting import Memory, run_tasks
from .reporting import Report
from .results import SearchRecord
from .tasks import Outcome, SearchData, Task, without_estimator

__all__ = ["SearchRun"]


class SearchRun:
    """A search while it runs.

    Parameters
    ----------
    estimator : estimator
        Cloned for each fit.
    candidates : list of dict
    data : SearchData
    scorer, margin_scorer : callable
    n_shortlisted : int
        Number of candidates to cross-validate; 0 for none.
    n_kept : int
        Number of fitted estimators to keep, by margin-AUC.
    error_score : float or "raise"
    n_jobs : int or None
    stack : {"auto", True, False}
    verbose : int
    memory : SearchMemory or None, default=None

    Attributes
    ----------
    record : SearchRecord
    estimators : dict of int to estimator
        The fitted estimators that are kept, by candidate.
    interrupted : bool
        Whether the run was stopped by Ctrl-C.
    """

    def __init__(
        self,
        estimator: Any,
        candidates: Sequence[Settings],
        data: SearchData,
        scorer: Any,
        margin_scorer: Any,
        *,
        n_shortlisted: int,
        n_kept: int,
        error_score: Any,
        n_jobs: int | None,
        stack: bool | str,
        verbose: int,
        memory: Memory | None = None,
    ) -> None:
        self.estimator = estimator
        self.candidates = candidates
        self.data = data
        self.scorer = scorer
        self.margin_scorer = margin_scorer
        self.n_shortlisted = min(n_shortlisted, len(candidates))
        self.n_kept = n_kept
        self.error_score = error_score
        self.n_jobs = n_jobs
        self.stack = stack
        self.verbose = verbose
        self.memory = memory
        self.record = SearchRecord(candidates, len(data.splits))
        self.estimators: dict[int, Any] = {}
        self.interrupted = False

    def run(self) -> None:
        """Fit, score and cross-validate.

        Raises
        ------
        ValueError
            If all fits or all scores fail.
        KeyboardInterrupt
            If Ctrl-C was pressed before the first candidate was finished.
        """
        n_fits = len(self.candidates) + self.n_shortlisted * len(self.data.splits)
        report = Report(self.verbose, n_fits)
        try:
            with noted_interrupts() as pressed:
                self._fit_candidates(report, pressed)
                if self.n_shortlisted:
                    self._cross_validate(report, pressed)
        except KeyboardInterrupt:
            if not self.estimators:
                raise
            self.interrupted = True
        finally:
            report.close()
        if self.interrupted:
            warn_caller(
                f"The search was interrupted after {self.record.n_fits} of {n_fits} fits: "
                "its results are those of the candidates finished so far, the others are NaN."
            )

    def _fit_candidates(self, report: Report, pressed: Callable[[], bool]) -> None:
        tasks = [Task(i, settings) for i, settings in enumerate(self.candidates)]
        outcomes = []
        for outcome in self._finished(tasks, self.margin_scorer, pressed):
            self._keep(outcome)
            report.add(outcome)
            outcomes.append(without_estimator(outcome))
        self._judge(outcomes, "margin_scoring")
        if np.isnan(self.record.margin_auc).all():
            raise ValueError(
                f"margin_scoring={self.margin_scorer} gave NaN for all candidates."
            )

    def _keep(self, outcome: Outcome) -> None:
        """Record a candidate, and drop the networks that can no longer be of use."""
        self.record.add(outcome)
        scores = self.record.margin_auc
        candidate = outcome.task.candidate
        if np.isnan(scores[candidate]):
            return
        self.estimators[candidate] = outcome.fitted.estimator
        if len(self.estimators) > self.n_kept:
            kept = np.array(sorted(self.estimators))
            del self.estimators[int(kept[order_by_margin_auc(scores[kept])[-1]])]

    def _cross_validate(self, report: Report, pressed: Callable[[], bool]) -> None:
        record = self.record
        order = order_by_margin_auc(record.margin_auc)
        best = [int(i) for i in order if i in self.estimators][: self.n_shortlisted]
        record.shortlisted[best] = True
        tasks = [
            Task(i, self.candidates[i], split)
            for i in sorted(best)
            for split in range(len(self.data.splits))
        ]
        outcomes = []
        for outcome in self._finished(tasks, self.scorer, pressed):
            record.add(outcome)
            report.add(outcome)
            candidate = outcome.task.candidate
            if record.cross_validated()[candidate]:
                report.cross_validated(record.cv_means()[candidate])
            outcomes.append(outcome)
        self._judge(outcomes, "scoring")
        if not np.isfinite(record.cv_means()[best]).any():
            raise ValueError(
                "No candidate of the shortlist has a finite cross-validated score, so none "
                f"can be chosen: the scores of scoring={self.scorer} are "
                f"{record.split_scores[best].tolist()}. Set error_score='raise' to see why, "
                "or shortlist=None to choose by margin-AUC."
            )

    def _finished(self, tasks, scorer, pressed):
        for outcome in run_tasks(
            self.estimator,
            tasks,
            self.data,
            scorer,
            error_score=self.error_score,
            n_jobs=self.n_jobs,
            stack=self.stack,
            memory=self.memory,
        ):
            if pressed():
                # The fit has ended early, as those of networks do, and is not finished.
                raise KeyboardInterrupt
            yield outcome

    def _judge(self, outcomes: Sequence[Outcome], scoring: str) -> None:
        """Warn of fits and scores that failed; raise an error if all of them did."""
        n = len(outcomes)
        fits = [outcome.fitted.error for outcome in outcomes if outcome.fitted.error]
        scores = [outcome.scored.error for outcome in outcomes if outcome.scored.error]
        if fits and len(fits) == n:
            raise ValueError(
                f"\nAll the {n} fits failed.\nIt is very likely that your model is "
                "misconfigured.\nYou can try to debug the error by setting "
                f"error_score='raise'.\n\nBelow are more details:\n{_counted(fits)}"
            )
        if scores and len(fits) + len(scores) == n:
            raise ValueError(
                f"\n{scoring} failed for every fitted estimator.\n\nBelow are more "
                f"details:\n{_counted(scores)}"
            )
        if fits:
            last = ", and the candidates come last" if scoring == "margin_scoring" else ""
            warn_caller(
                f"\n{len(fits)} fits failed out of a total of {n}.\nTheir scores are set to "
                f"{self.error_score}{last}.\nIf these failures are not expected, you can try "
                "to debug them by setting error_score='raise'.\n\nBelow are more details:\n"
                f"{_counted(fits)}",
                FitFailedWarning,
            )
        if scores:
            warn_caller(
                f"\n{scoring} failed for {len(scores)} of {n - len(fits)} fitted estimators."
                f"\nTheir scores are set to {self.error_score}.\n\nBelow are more details:\n"
                f"{_counted(scores)}"
            )
        infinite = sum(
            not math.isfinite(outcome.scored.score)
            for outcome in outcomes
            if not outcome.fitted.error and not outcome.scored.error
        )
        if infinite:
            warn_caller(
                f"{infinite} of {n} scores of {scoring} are not finite: they count as the "
                "lowest."
            )


def _counted(errors: Sequence[str]) -> str:
    line = "-" * 80
    return "\n".join(
        f"{line}\n{n} with the following error:\n{error}"
        for error, n in Counter(errors).items()
    )
