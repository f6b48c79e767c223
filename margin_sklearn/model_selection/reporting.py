"""Showing how far a search is."""

import math
from typing import Any

from .tasks import Outcome

__all__ = ["Report"]


class Report:
    """A progress bar over the fits of a search, or one line per fit.

    Parameters
    ----------
    verbose : int
        0 shows nothing, 1 a bar, 2 lines.
    n_fits : int
        Number of fits on all samples and in folds.
    """

    def __init__(self, verbose: int, n_fits: int) -> None:
        self._lines = verbose > 1
        self._n_fits = n_fits
        self._done = 0
        self._best: dict[str, float] = {}
        self._bar: Any = None
        if verbose == 1:
            from tqdm.auto import tqdm

            self._bar = tqdm(total=n_fits, unit="fit", desc="search")

    def add(self, outcome: Outcome) -> None:
        """Show that a fit is finished.

        Parameters
        ----------
        outcome : Outcome
        """
        self._done += 1
        task, fitted, scored = outcome
        if task.split is None:
            self._note("margin_auc", scored.score)
        if self._bar is not None:
            self._bar.update()
        if self._lines:
            what = "margin-AUC" if task.split is None else f"fold {task.split} score"
            found = "failed" if fitted.error else f"{what} {scored.score:.4f}"
            seconds = fitted.seconds + scored.seconds
            if fitted.n_together > 1:
                found += f", {fitted.n_together} trained as one"
            print(
                f"[{self._done}/{self._n_fits}] candidate {task.candidate}: {found}, "
                f"{seconds:.2f} s, {task.settings}"
            )

    def cross_validated(self, mean: float) -> None:
        """Show the mean score of a candidate whose folds are all finished.

        Parameters
        ----------
        mean : float
        """
        self._note("score", mean)

    def _note(self, name: str, value: float) -> None:
        if self._bar is None or not math.isfinite(value):
            return
        self._best[name] = max(value, self._best.get(name, -math.inf))
        shown = {f"best_{key}": f"{best:.4f}" for key, best in self._best.items()}
        self._bar.set_postfix(shown, refresh=False)

    def close(self) -> None:
        """Close the bar."""
        if self._bar is not None:
            self._bar.close()
