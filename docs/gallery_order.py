"""The order of the gallery: choosing, training, pruning, labels, then special topics."""

PAGES = [
    "choose_network",
    "hundred_networks",
    "label_noise",
    "pseudo_points",
    "failures",
    "separation",
    "one_margin",
    "pruning",
    "subset_consistency",
    "label_errors",
    "pipeline",
    "custom_module",
    "embeddings",
    "own_estimator",
    "optuna",
    "dask",
]


class GalleryOrder:
    """Key by which sphinx-gallery sorts the files of a folder.

    Parameters
    ----------
    folder : str
    """

    def __init__(self, folder):
        self.folder = folder

    def __call__(self, name):
        """Place of a file; ValueError for one that PAGES lacks."""
        return PAGES.index(name.removeprefix("plot_").removesuffix(".py"))
