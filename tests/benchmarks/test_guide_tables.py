"""The tables in docs/tables are cut from the results that are stored, and fit the page."""

import pandas as pd
import pytest

from benchmarks.guide_tables import TABLES, tables

CUT = tables()
PAGES = "\n".join(path.read_text("utf-8") for path in TABLES.parent.glob("*.rst"))


@pytest.mark.parametrize("name", CUT)
def test_the_guide_has_the_results(name, tmp_path):
    CUT[name].to_csv(tmp_path / "table.csv")
    assert (TABLES / f"{name}.csv").read_bytes() == (tmp_path / "table.csv").read_bytes()


@pytest.mark.parametrize("name", CUT)
def test_a_page_shows_the_table(name):
    assert f":file: tables/{name}.csv" in PAGES


def test_there_are_no_others():
    assert {path.stem for path in TABLES.glob("*.csv")} == set(CUT)


@pytest.mark.parametrize("path", sorted(TABLES.glob("*.csv")), ids=lambda path: path.stem)
def test_tables_fit_the_column(path):
    table = pd.read_csv(path, dtype=str)
    assert table.shape[1] <= 9
    assert table.notna().any(axis=0).all()
    assert "nan" not in path.read_text("utf-8")
