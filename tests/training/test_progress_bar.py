"""Progress is silent, a bar or a table."""

from margin_sklearn import (
    MarginClassifier,
)
from tests.training.modules import SMALL


def test_verbose_says_nothing_a_bar_or_a_table(iris, capsys):
    MarginClassifier(**SMALL).fit(*iris)
    assert capsys.readouterr() == ("", "")
    MarginClassifier(**SMALL, verbose=1).fit(*iris)
    out, err = capsys.readouterr()
    assert out == ""
    assert "5/5" in err
    for word in ("loss", "accuracy", "margin"):
        assert word in err
    MarginClassifier(**SMALL, verbose=2).fit(*iris)
    out, err = capsys.readouterr()
    assert "train_loss" in out
    assert len(out.strip().splitlines()) == 2 + 5
