"""Check that the built documentation works without a network and has no broken links.

``python tools/check_site.py docs/_build/html`` fails for scripts, style sheets, fonts and
images that come from elsewhere or are missing, and for links to missing pages and anchors
inside this site. With ``--browser`` it also opens every page in Chromium (``browse_site.py``).
"""

import argparse
import re
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

# Attributes that make a browser load a file when it shows the page.
LOADED = {
    ("script", "src"),
    ("img", "src"),
    ("img", "srcset"),
    ("source", "src"),
    ("source", "srcset"),
    ("iframe", "src"),
    ("embed", "src"),
    ("object", "data"),
    ("video", "src"),
    ("audio", "src"),
    ("image", "href"),
}
LOADED_RELATIONS = {"stylesheet", "icon", "preload", "prefetch", "modulepreload", "manifest"}
FOLLOWED = {("a", "href"), ("area", "href"), ("form", "action"), ("link", "href")}
IN_STYLE = re.compile(r"""(?:url\(\s*|@import\s+)["']?([^"')\s;]+)""")


class Reference(NamedTuple):
    """What a file points to."""

    target: str
    loaded: bool  # by the browser, rather than followed by a reader


class Page(HTMLParser):
    """Anchors and references of a page."""

    def __init__(self, text: str):
        super().__init__()
        self.anchors: set[str] = set()
        self.references: list[Reference] = []
        self._in_style = False
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        attributes = {name: value or "" for name, value in attrs}
        self._in_style = tag == "style"
        self.anchors.update(attributes[name] for name in ("id", "name") if name in attributes)
        relations = set(attributes.get("rel", "").lower().split())
        for name, value in attributes.items():
            loaded = (tag, name) in LOADED
            if tag == "link" and name == "href":
                loaded = bool(relations & LOADED_RELATIONS)
            if loaded or (tag, name) in FOLLOWED:
                targets = [value]
                if name == "srcset":
                    targets = [part.split()[0] for part in value.split(",") if part.strip()]
                self.references += [Reference(target, loaded) for target in targets]
            elif name == "style":
                self._add_style(value)

    def handle_data(self, data):
        if self._in_style:
            self._add_style(data)

    def handle_endtag(self, tag):
        self._in_style = False

    def _add_style(self, text):
        self.references += [Reference(target, True) for target in IN_STYLE.findall(text)]


def _problem(root: Path, path: Path, reference: Reference, pages: dict[Path, Page]) -> str:
    """What is wrong with a reference of the file at ``path``; empty if nothing is."""
    parts = urlsplit(reference.target)
    if parts.scheme in ("data", "mailto", "javascript"):
        return ""
    if parts.scheme or parts.netloc:
        return "is loaded from elsewhere" if reference.loaded else ""
    target = path
    if parts.path:
        target = (path.parent / unquote(parts.path)).resolve()
    if not target.is_relative_to(root):
        return "is outside of the site"
    if target.is_dir():
        target /= "index.html"
    if not target.is_file():
        return "does not exist"
    anchor = unquote(parts.fragment)
    if anchor and target in pages and anchor not in pages[target].anchors:
        return "has no such anchor"
    return ""


def problems(root: Path) -> Iterator[str]:
    """One line for each thing that is missing from, or foreign to, the site in a folder."""
    root = root.resolve()
    # _static holds templates of the theme.
    pages = {
        path: Page(path.read_text("utf-8"))
        for path in sorted(root.rglob("*.html"))
        if path.relative_to(root).parts[0] != "_static"
    }
    if not pages:
        yield f"{root}: no pages"
    references = [(path, found) for path, page in pages.items() for found in page.references]
    for path in sorted(root.rglob("*.css")):
        text = re.sub(r"/\*.*?\*/", "", path.read_text("utf-8"), flags=re.S)
        references += [(path, Reference(found, True)) for found in IN_STYLE.findall(text)]
    for path, reference in references:
        problem = _problem(root, path, reference, pages)
        if problem:
            yield f"{path.relative_to(root)}: {reference.target} {problem}"


def main(arguments: list[str] | None = None) -> int:
    """Print what is wrong; 1 if there is anything, 0 otherwise."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="what sphinx-build -b html wrote")
    parser.add_argument("--browser", action="store_true", help="also look at it in Chromium")
    parser.add_argument("--screenshots", type=Path, metavar="DIR", help="save one PNG a page")
    parser.add_argument("--pages", nargs="+", metavar="PAGE", help="only these in the browser")
    options = parser.parse_args(arguments)
    found = list(problems(options.folder))
    if options.browser or options.screenshots:
        from browse_site import browse

        found += browse(options.folder, options.pages, options.screenshots)
    found = list(dict.fromkeys(found))
    print(*found, f"{options.folder}: {len(found)} problems", sep="\n")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
