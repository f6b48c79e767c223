"""Warnings about data in which neighborhoods are not informative, or costly."""

from ..exceptions import LocalityWarning, warn_caller

__all__ = ["tell_copies", "tell_few", "tell_no_locality", "tell_wide"]

# With δ above this share of the median distance between samples, near and far are the same.
NO_LOCALITY = 0.7
# Share of duplicates that triggers a warning about how they are treated.
COPIES_TOLD = 0.05
# Numbers at which a network is evaluated for one score, above which that takes long: 1 GB.
MANY_NUMBERS = 2**28
# With fewer samples the score's standard error is a tenth or more.
FEW = 20


def tell_no_locality(neighborhood):
    """Warn if nearest neighbors are about as far from each other as any two samples."""
    distance, spread = neighborhood.distance, neighborhood.spread
    if distance > NO_LOCALITY * spread > 0:
        warn_caller(
            f"The nearest neighbor of a sample is {distance:.3g} away, any other sample "
            f"{spread:.3g} (medians): the inputs have no near and far (as is typical of many "
            "indicator columns), so margins at perturbed samples are not informative. Select "
            "by cross-validation instead (cv=5 with scoring='accuracy').",
            LocalityWarning,
        )


def tell_few(n_samples, max_samples):
    """Warn if fewer than 20 different samples are scored, unless ``max_samples`` is lower."""
    if n_samples < FEW and (max_samples is None or max_samples >= FEW):
        warn_caller(
            f"The score rests on {n_samples} different samples: its standard error may be a "
            "tenth or more, too large to distinguish most networks. Pass more samples, or "
            "select by cross-validation.",
            LocalityWarning,
        )


def tell_copies(distinct, n_samples):
    """Warn if 5 % of the samples or more are duplicates, exact or near."""
    share = (distinct.n_exact + distinct.n_near) / n_samples
    if share >= COPIES_TOLD:
        warn_caller(
            f"{share:.0%} of the {n_samples} samples are copies of others "
            f"({distinct.n_exact} exact, {distinct.n_near} near). The score treats each group "
            "of copies as one sample with the weight of the whole group: its neighbors are "
            "other groups, and all its labels count. Keep each group together in "
            "cross-validation (GroupKFold).",
            LocalityWarning,
        )


def tell_wide(n_samples, width, n_steps):
    """Warn, before the work begins, if so many columns take long."""
    n_numbers = n_samples * n_steps * width
    if n_numbers > MANY_NUMBERS:
        warn_caller(
            f"A score at perturbed samples evaluates the network at {n_samples * n_steps} "
            f"dense rows of {width} columns ({4 * n_numbers / 2**30:.1f} GB, in parts): this "
            "takes long. Reduce the columns before the network, for instance with "
            "TruncatedSVD(100) in a Pipeline, or pass a smaller max_samples."
        )
