"""What a search shows while it runs."""

import numpy as np

__all__ = ["Progress"]


class Progress:
    """A progress bar over the fits of a search, with the best score so far.

    Parameters
    ----------
    total : int
        Number of fits.
    verbose : int
        0 shows nothing, 1 the bar, 2 a line per group of fits as well.
    """

    def __init__(self, total, verbose):
        self.total, self.verbose, self.bar = total, verbose, None

    def __enter__(self):
        if self.verbose:
            from tqdm.auto import tqdm

            self.bar = tqdm(total=self.total, unit="fit", desc="search")
        return self

    def __exit__(self, *error):
        if self.bar is not None:
            self.bar.close()

    def update(self, outcomes, results):
        """Count finished fits.

        Parameters
        ----------
        outcomes : list of Outcome
            Finished together.
        results : Results
        """
        if self.bar is None:
            return
        best = {"margin_auc": results.margin_auc}
        if len(results.split_scores[0]):
            best["cv"] = results.cv_score()
        shown = {
            name: f"{np.nanmax(values):.4f}"
            for name, values in best.items()
            if not np.isnan(values).all()
        }
        self.bar.set_postfix(shown, refresh=False)
        self.bar.update(len(outcomes))
        if self.verbose >= 2:
            self.bar.write(_line(outcomes))


def _line(outcomes):
    """The candidates that were fitted together, and the time of each."""
    first = outcomes[0]
    what = "all samples" if first.split is None else "folds"
    names = ", ".join(str(outcome.candidate) for outcome in outcomes)
    how = f"{first.n_together} trained as one" if first.n_together > 1 else "ordinary fit"
    seconds = sum(outcome.fit_seconds + outcome.score_seconds for outcome in outcomes)
    failed = sum(outcome.error is not None for outcome in outcomes)
    ended = f", {failed} failed" if failed else ""
    return f"candidates {names} on {what}: {how}, {seconds:.2f} s{ended}"
