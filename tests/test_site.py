"""The documentation: what is listed in it, and the tool that checks what Sphinx built."""

import importlib
import pkgutil
import re
import runpy
import shutil
from pathlib import Path

import pytest

import margin_sklearn

ROOT = Path(__file__).parents[1]
API = (ROOT / "docs" / "api.rst").read_text("utf-8")
PACKAGES = [
    margin_sklearn,
    *(
        importlib.import_module(found.name)
        for found in pkgutil.walk_packages(margin_sklearn.__path__, "margin_sklearn.")
        if found.ispkg and found.name != "margin_sklearn.runtime"
    ),
]
# What the text of a section describes; `adapters` hands its modules on.
IN_TEXT = {"SCALES", "SAMPLE_SIZES", "sklearn_models", "skorch_nets"}
check_site = runpy.run_path(str(ROOT / "tools" / "check_site.py"))


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.__name__)
def test_the_api_reference_lists_everything_public(package):
    listed = set(re.findall(r"^   (?:\w+\.)?(\w+)$|^\.\. py:function:: (\w+)", API, re.M))
    names = {name for pair in listed for name in pair} | IN_TEXT
    assert set(getattr(package, "__all__", ())) <= names


def test_the_gallery_has_an_order_for_each_page():
    pages = runpy.run_path(str(ROOT / "docs" / "gallery_order.py"))["PAGES"]
    found = {path.stem.removeprefix("plot_") for path in ROOT.glob("examples/plot_*.py")}
    assert sorted(pages) == sorted(found)


@pytest.fixture
def site(tmp_path):
    """Two pages without a fault."""
    (tmp_path / "_static").mkdir()
    (tmp_path / "_static" / "site.css").write_text("a {background: url('dot.svg?a=1')}")
    (tmp_path / "_static" / "dot.svg").write_text("<svg/>")
    (tmp_path / "index.html").write_text(
        '<link rel="stylesheet" href="_static/site.css?digest=1">'
        '<a href="https://scikit-learn.org">elsewhere</a> <a href="#here" id="here">here</a>'
        '<a href="more/page.html#part-1">there</a> <img src="data:image/png;base64,AA==">'
    )
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "page.html").write_text('<p id="part-1"><a href="../">up</a></p>')
    return tmp_path


def test_a_site_without_faults_passes(site, capsys):
    assert check_site["main"]([str(site)]) == 0
    assert capsys.readouterr().out == f"{site}: 0 problems\n"


@pytest.mark.parametrize(
    ("tag", "problem"),
    [
        ('<script src="https://cdn.org/a.js"></script>', "is loaded from elsewhere"),
        ('<script src="//cdn.org/a.js"></script>', "is loaded from elsewhere"),
        ('<link rel="stylesheet" href="https://cdn.org/a.css">', "is loaded from elsewhere"),
        (
            '<img srcset="_static/dot.svg 1x, https://cdn.org/a.png 2x">',
            "loaded from elsewhere",
        ),
        ("<style>@import 'https://cdn.org/a.css';</style>", "is loaded from elsewhere"),
        ('<p style="background: url(https://cdn.org/a.png)">', "is loaded from elsewhere"),
        ('<img src="none.png">', "none.png does not exist"),
        ('<a href="More/page.html">', "More/page.html does not exist"),
        ('<a href="more/page.html#part-2">', "has no such anchor"),
        ('<a href="#there">', "#there has no such anchor"),
        ('<a href="../../secret.html">', "is outside of the site"),
    ],
)
def test_faults_are_found(site, tag, problem, capsys):
    page = site / "index.html"
    page.write_text(page.read_text() + tag)
    assert check_site["main"]([str(site)]) == 1
    found, summary = capsys.readouterr().out.splitlines()
    assert found.startswith("index.html: ")
    assert problem in found
    assert summary.endswith("1 problems")


def test_style_sheets_are_read(site):
    (site / "_static" / "dot.svg").unlink()
    (site / "_static" / "font.css").write_text(
        "/* url(old.woff) */ @font-face {src: url(https://cdn.org/a.woff2)}"
    )
    assert sorted(check_site["problems"](site)) == [
        "_static/font.css: https://cdn.org/a.woff2 is loaded from elsewhere",
        "_static/site.css: dot.svg?a=1 does not exist",
    ]


def test_a_folder_without_pages_is_not_a_site(tmp_path):
    assert list(check_site["problems"](tmp_path)) == [f"{tmp_path}: no pages"]


@pytest.mark.skipif(
    not any(map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))),
    reason="needs Chromium",
)
def test_pages_are_looked_at_in_a_browser(site, tmp_path_factory, monkeypatch, capsys):
    monkeypatch.syspath_prepend(ROOT / "tools")
    wide = '<p style="width: 900px; height: 10px">wide</p>'
    formula = '<span class="math">\\(x\\)</span>'
    (site / "index.html").write_text(f'<article class="bd-article">{wide}{formula}</article>')
    (site / "more" / "page.html").write_text(
        "<script>fetch('https://cdn.org/a').catch(() => 0)</script>"
    )
    pictures = tmp_path_factory.mktemp("pictures")
    assert check_site["main"]([str(site), "--screenshots", str(pictures)]) == 1
    assert capsys.readouterr().out.splitlines() == [
        'index.html at 1280 px: formula as text: <span.math> "\\(x\\)"',
        'index.html at 400 px: formula as text: <span.math> "\\(x\\)"',
        "index.html at 400 px: the page is 908 px wide",
        'index.html at 400 px: wider than its column: <p> "wide"',
        "more/page.html at 1280 px: asks for https://cdn.org/a",
        "more/page.html at 400 px: asks for https://cdn.org/a",
        f"{site}: 6 problems",
    ]
    assert sorted(path.name for path in pictures.iterdir()) == [
        f"{name}-{width}.png" for name in ("index", "more-page") for width in (1280, 400)
    ]
