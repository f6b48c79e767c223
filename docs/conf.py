"""How Sphinx builds the documentation; ``make docs`` runs it."""

import os

# One thread, as the examples say of their run times; before torch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import matplotlib
from sphinx_gallery.sorting import ExplicitOrder

import margin_sklearn

matplotlib.use("Agg")

project = "margin_sklearn"
author = "the margin_sklearn developers"
copyright = f"2026, {author}"
release = version = margin_sklearn.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "numpydoc",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "templates"]
templates_path = ["templates"]

autosummary_generate = True
autodoc_member_order = "bysource"
autodoc_typehints = "none"
# Methods are written out on the class's own page by its template, not by numpydoc.
numpydoc_show_class_members = False

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    "filename_pattern": r"plot_\w+\.py",
    # quickstart.py is for the command line.
    "ignore_pattern": r"quickstart\.py|__init__\.py",
    "within_subsection_order": "FileNameSortKey",
    "subsection_order": ExplicitOrder(["*"]),
    "doc_module": ("margin_sklearn",),
    "backreferences_dir": None,
    "reference_url": {"margin_sklearn": None},
    "abort_on_example_error": False,
    "download_all_examples": False,
    "show_signature": False,
    "min_reported_time": 0,
    "plot_gallery": "True",
    "remove_config_comments": True,
}

html_theme = "pydata_sphinx_theme"
html_title = "margin_sklearn"
html_show_sourcelink = False
html_theme_options = {
    "show_prev_next": False,
    "navigation_with_keys": False,
    "secondary_sidebar_items": ["page-toc"],
}
html_sidebars = {"index": [], "estimator": [], "margins": [], "choosing": [], "pruning": []}
