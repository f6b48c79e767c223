"""How Sphinx builds the documentation; ``make docs`` runs it."""

import os
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path

# One thread, as the examples say of their run times; before torch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import matplotlib
from sphinx_gallery.sorting import ExplicitOrder

import margin_sklearn

matplotlib.use("Agg")
# For gallery_order.
sys.path.insert(0, str(Path(__file__).parent))

project = "margin_sklearn"
author = "the margin_sklearn developers"
copyright = f"2026, {author}"
release = version = margin_sklearn.__version__
with (Path(__file__).parents[1] / "pyproject.toml").open("rb") as file:
    URLS = tomllib.load(file)["project"]["urls"]

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "numpydoc",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "templates"]
templates_path = ["templates"]

autosummary_generate = True
autodoc_member_order = "bysource"
autodoc_typehints = "none"
# The sidebar has no room for "MarginClassifier.partial_fit()".
toc_object_entries_show_parents = "hide"
# Methods are written out on the class's own page by its template, not by numpydoc.
numpydoc_show_class_members = False

# Links to the manuals of other libraries need a network, and the build must do without.
if os.environ.get("MARGIN_SKLEARN_INTERSPHINX"):
    extensions.append("sphinx.ext.intersphinx")
    intersphinx_mapping = {
        "python": ("https://docs.python.org/3", None),
        "numpy": ("https://numpy.org/doc/stable", None),
        "pandas": ("https://pandas.pydata.org/docs", None),
        "sklearn": ("https://scikit-learn.org/stable", None),
        "torch": ("https://docs.pytorch.org/docs/stable", None),
        "skorch": ("https://skorch.readthedocs.io/en/stable", None),
        "imblearn": ("https://imbalanced-learn.org/stable", None),
    }

# MathJax as one local file that draws formulas as SVG: pages need neither a network nor fonts.
# Its menu would load further files.
MATHJAX = Path(find_spec("sphinx-mathjax-offline").origin).parent / "static" / "mathjax"
mathjax_path = "tex-svg-full.js"
mathjax3_config = {"options": {"enableMenu": False}}

copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

linkcheck_timeout = 30
linkcheck_workers = 2

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    "filename_pattern": r"plot_\w+\.py",
    # quickstart.py is for the command line.
    "ignore_pattern": r"quickstart\.py|__init__\.py",
    "within_subsection_order": "gallery_order.GalleryOrder",
    "subsection_order": ExplicitOrder(["*"]),
    "doc_module": ("margin_sklearn",),
    "backreferences_dir": None,
    "reference_url": {"margin_sklearn": None},
    "abort_on_example_error": False,
    "download_all_examples": False,
    # Pages of run times of all examples, whose tables load scripts from elsewhere.
    "write_computation_times": False,
    "show_signature": False,
    "min_reported_time": 0,
    "plot_gallery": "True",
    "remove_config_comments": True,
}

html_theme = "pydata_sphinx_theme"
html_title = "margin_sklearn"
html_show_sourcelink = False
html_static_path = ["_static", str(MATHJAX / mathjax_path)]
html_css_files = ["site.css"]
html_theme_options = {
    "logo": {"text": f"margin_sklearn {version}"},
    "icon_links": [
        {"name": name, "url": URLS[name], "icon": icon}
        for name, icon in [
            ("Source", "fa-brands fa-github"),
            ("Issues", "fa-solid fa-circle-exclamation"),
            ("Changes", "fa-solid fa-clock-rotate-left"),
        ]
    ],
    "show_prev_next": False,
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "secondary_sidebar_items": ["page-toc"],
}
html_sidebars = {"index": [], "getting_started": []}
