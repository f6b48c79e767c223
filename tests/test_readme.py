"""README's code runs as it stands, and the quickstart shows what README says."""

import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_readmes_python_blocks_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python\n(.*?)^```", README, re.M | re.S)
    assert blocks
    namespace = {"__name__": "readme"}
    for block in blocks:
        exec(compile(block, "README.md", "exec"), namespace)
    assert "search" in namespace


def test_readme_sets_up_with_two_commands():
    blocks = re.findall(r"^```bash\n(.*?)^```", README, re.M | re.S)
    assert len(blocks) == 2
    assert "examples/quickstart.py" in blocks[0]
    assert "pytest" in blocks[1]
    assert all("-c constraints.txt" in block for block in blocks)


# Absolute links, which PyPI needs, lead to the same files as relative ones.
REPOSITORY = r"https://github\.com/margin-sklearn/margin-sklearn/(?:blob|tree)/main/"


@pytest.mark.parametrize(
    "link", re.findall(rf"\]\((?:{REPOSITORY})?((?!http)[^)#]+)\)", README)
)
def test_readmes_links_lead_somewhere(link):
    assert (ROOT / link).exists()


def test_readme_is_short():
    assert len(README.splitlines()) <= 150


def test_the_quickstart_runs_on_a_small_grid(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    quickstart = runpy.run_path(str(ROOT / "examples" / "quickstart.py"))
    monkeypatch.setitem(
        quickstart["GRID"], "marginclassifier__module__hidden_layer_sizes", [(4,)]
    )
    monkeypatch.setitem(quickstart["GRID"], "marginclassifier__weight_decay", [1e-3])
    quickstart["main"]()
    out, err = capsys.readouterr()
    assert re.search(r"margin-AUC +2 ", out)
    assert re.search(r"5-fold accuracy +10 ", out)
    assert "5-fold CV" in err
    assert (tmp_path / quickstart["FIGURE"]).stat().st_size > 10_000
