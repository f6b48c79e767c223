"""Tables of all kinds: numbers are taken, other columns are named."""

import decimal

import numpy as np
import pandas as pd
import pytest
from sklearn.neural_network import MLPClassifier

from margin_sklearn import MarginClassifier

SMALL = {"max_epochs": 3, "random_state": 0, "device": "cpu"}

NUMBERS = {
    "category": lambda column: column.astype("category"),
    "decimal": lambda column: column.map(lambda value: decimal.Decimal(str(value))),
    "text": lambda column: column.astype("str"),
    "text objects": lambda column: column.astype(str).astype(object),
    "nullable": lambda column: (column * 10).astype(int).astype("Int64") / 10,
}
OTHERS = {
    "words": lambda column: column.map(lambda value: f"w{value:g}"),
    "words as categories": lambda c: c.map(lambda v: f"w{v:g}").astype("category"),
    "dates": lambda column: pd.Timestamp("2020-01-01") + pd.to_timedelta(column, unit="D"),
    "dates with zones": lambda c: (
        pd.Timestamp("2020-01-01", tz="UTC") + pd.to_timedelta(c, unit="D")
    ),
    "durations": lambda column: pd.to_timedelta(column, unit="D"),
    "times": lambda c: (pd.Timestamp("2020-01-01") + pd.to_timedelta(c, "D")).dt.to_period(
        "D"
    ),
    "lists": lambda column: column.map(lambda value: [value]),
}


def table(iris, convert, columns):
    X = pd.DataFrame(np.round(iris[0], 1), columns=list("abcd"))
    return X.assign(**{name: convert(X[name]) for name in columns})


@pytest.mark.parametrize("columns", ["c", "abcd"])
@pytest.mark.parametrize("kind", list(NUMBERS))
def test_columns_that_hold_numbers_are_numbers(iris, kind, columns):
    X = table(iris, NUMBERS[kind], columns)
    plain = table(iris, lambda column: column, "")
    MLPClassifier(max_iter=1).fit(X, iris[1])
    expected = MarginClassifier(**SMALL).fit(plain, iris[1]).predict_proba(plain)
    estimator = MarginClassifier(**SMALL).fit(X, iris[1])
    np.testing.assert_array_equal(estimator.predict_proba(X), expected)


@pytest.fixture(autouse=True)
def _mlp_may_not_converge():
    import warnings

    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


@pytest.mark.parametrize("columns", ["c", "abcd"])
@pytest.mark.parametrize("kind", list(OTHERS))
def test_other_columns_are_named(iris, kind, columns):
    X = table(iris, OTHERS[kind], columns)
    hint = "dates or times" if kind.startswith(("dates", "dur", "times")) else "OneHotEncoder"
    match = f"Column '{columns[0]}' of X holds .*{hint}"
    with pytest.raises((ValueError, TypeError), match=match):
        MarginClassifier(**SMALL).fit(X, iris[1])
    estimator = MarginClassifier(**SMALL).fit(table(iris, float, ""), iris[1])
    with pytest.raises((ValueError, TypeError), match=match):
        estimator.predict(X)


def test_text_that_holds_numbers(iris):
    X, y = np.round(iris[0], 1), iris[1]
    expected = MarginClassifier(**SMALL).fit(X, y).predict_proba(X)
    for given in (X.astype(str), X.astype(str).tolist(), X.astype("S")):
        estimator = MarginClassifier(**SMALL).fit(given, y)
        np.testing.assert_array_equal(estimator.predict_proba(given), expected)
    words = X.astype(str)
    words[3, 2] = "many"
    with pytest.raises(ValueError, match="Column 2 of X holds 'many'.*OneHotEncoder"):
        MarginClassifier(**SMALL).fit(words, y)


def test_columns_of_one_name(iris):
    X = pd.DataFrame(iris[0], columns=list("abca"))
    with pytest.raises(ValueError, match="more than one column named 'a'.*Rename"):
        MarginClassifier(**SMALL).fit(X, iris[1])


def test_several_inputs_are_not_supported(iris):
    X, y = iris
    halves = X[:, :2], X[:, 2:]
    several = [
        {"left": halves[0], "right": halves[1]},
        halves,
        list(halves),
        (X, X[:, :1]),
        [pd.DataFrame(half) for half in halves],
    ]
    estimator = MarginClassifier(**SMALL).fit(X, y)
    for given in several:
        match = f"{type(given).__name__} of 2 inputs.*not supported"
        with pytest.raises(ValueError, match=match):
            MarginClassifier(**SMALL).fit(given, y)
        if not isinstance(given, list | tuple) or given[0].shape != given[1].shape:
            with pytest.raises(ValueError, match=match):
                estimator.predict(given)


def test_a_list_of_images_is_one_input(images):
    from margin_sklearn import ConvNet

    X, y = images[0][:60], images[1][:60]
    settings = {**SMALL, "module__channels": (4,)}
    a = MarginClassifier(ConvNet, **settings).fit(list(X), y)
    b = MarginClassifier(ConvNet, **settings).fit(X, y)
    np.testing.assert_array_equal(a.predict_proba(list(X)), b.predict_proba(X))


class Table:
    """A table of another library: named columns, an array on request."""

    def __init__(self, columns):
        self.data = columns
        self.columns = list(columns)
        self.shape = (len(next(iter(columns.values()))), len(columns))

    def __len__(self):
        return self.shape[0]

    def __getitem__(self, name):
        return self.data[name]

    def __array__(self, dtype=None, copy=None):
        return np.column_stack([np.asarray(v, dtype=object) for v in self.data.values()])


def test_a_table_of_another_library(iris):
    X, y = iris
    words = Table({"a": X[:, 0], "b": ["x"] * len(X)})
    with pytest.raises(ValueError, match="Column 'b' of X holds 'x'"):
        MarginClassifier(**SMALL).fit(words, y)


def test_polars(iris):
    pl = pytest.importorskip("polars")
    X = pl.DataFrame(dict(zip("abcd", np.round(iris[0], 1).T, strict=True)))
    y = iris[1]
    estimator = MarginClassifier(**SMALL).fit(X, y)
    plain = MarginClassifier(**SMALL).fit(X.to_numpy(), y)
    np.testing.assert_array_equal(
        estimator.predict_proba(X), plain.predict_proba(X.to_numpy())
    )
    for column in (pl.Series("c", ["x"] * 150), pl.Series("c", ["x"] * 150, pl.Categorical)):
        with pytest.raises(ValueError, match="Column 'c' of X holds 'x'.*OneHotEncoder"):
            MarginClassifier(**SMALL).fit(X.with_columns(column), y)
    dates = X.with_columns(pl.lit("2020-01-01").str.to_date().alias("d"))
    with pytest.raises(ValueError, match="Column 'd' of X holds dates or times"):
        MarginClassifier(**SMALL).fit(dates, y)


def test_pyarrow(iris):
    pa = pytest.importorskip("pyarrow")
    X = pa.table(dict(zip("abcd", np.round(iris[0], 1).T, strict=True)))
    y = iris[1]
    assert MarginClassifier(**SMALL).fit(X, y).predict(X).shape == y.shape
    words = X.set_column(1, "b", [["x"] * 150])
    with pytest.raises(ValueError, match="Column 'b' of X holds 'x'.*OneHotEncoder"):
        MarginClassifier(**SMALL).fit(words, y)
