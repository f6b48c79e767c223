"""
How do I train a network on strings and missing values?
=======================================================

A Pipeline encodes the strings, fills the gaps and ends in the network; it
takes the DataFrame as it is, and predicts strings. Here a network is chosen
for such a table by margin-AUC, with one fit per candidate, and then shows the
customers it is least sure of.
"""

# %%
# A table of customers
# --------------------
#
# The customers of a telephone company are simulated, with a known rule, so
# that we know what there is to learn. A customer
#
# * *leaves* after too many calls to the helpdesk; the longer the contract and
#   the time as a customer, the more calls are tolerated;
# * otherwise *upgrades* if the data used exceed what the tariff includes,
#   unless the customer pays by invoice;
# * otherwise *stays*.
#
# Two in a hundred decide at random. One value in twenty is then deleted in
# three of the columns.

import numpy as np
import pandas as pd

rng = np.random.default_rng(0)
n = 1500
customers = pd.DataFrame(
    {
        "contract": rng.choice(["monthly", "one year", "two years"], n),
        "payment": rng.choice(["card", "debit", "invoice"], n),
        "months": rng.gamma(2.0, 15.0, n).round(),
        "charge": rng.normal(35.0, 10.0, n).clip(10.0).round(2),
        "data_gb": rng.lognormal(2.5, 0.8, n).round(1),
        "calls": rng.poisson(2.0, n),
    }
)
tolerated = {"monthly": 0.5, "one year": 2.0, "two years": 3.5}
patience = customers["contract"].map(tolerated) + customers["months"] / 30
pays_by_invoice = customers["payment"] == "invoice"
exceeds = customers["data_gb"] > 0.5 * customers["charge"]
decision = np.select(
    [customers["calls"] > patience, exceeds & ~pays_by_invoice],
    ["leaves", "upgrades"],
    "stays",
)
at_random = rng.random(n) < 0.02
decision[at_random] = rng.choice(decision, at_random.sum())
for column in ("payment", "months", "data_gb"):
    missing = rng.random(n) < 0.05
    customers[column] = customers[column].mask(missing)

customers.assign(decision=decision).head()

# %%
# The pipeline
# ------------
#
# Strings are one-hot encoded; a missing one is a category of its own. Missing
# numbers are replaced by the median, with an indicator column that says so;
# numbers are standardised. The network adapts to the number of columns that it
# receives.

from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.model_selection import cross_val_score, train_test_split
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from margin_sklearn import MarginClassifier

X_train, X_test, y_train, y_test = train_test_split(
    customers,
    decision,
    test_size=500,
    stratify=decision,
    random_state=0,
)
numbers = make_pipeline(
    SimpleImputer(strategy="median", add_indicator=True),
    StandardScaler(),
)
columns = make_column_transformer(
    (numbers, make_column_selector(dtype_include="number")),
    (
        OneHotEncoder(handle_unknown="ignore"),
        make_column_selector(dtype_exclude="number"),
    ),
)
network = MarginClassifier(max_epochs=30, random_state=0)
model = Pipeline([("columns", columns), ("network", network)])
model.fit(X_train, y_train)
print(model.predict(X_test)[:4])
accuracy = cross_val_score(model, X_train, y_train, cv=3)
print(f"cross-validated accuracy {accuracy.mean():.3f}")

# %%
# One fit per candidate
# ---------------------
#
# With :class:`~margin_sklearn.ResubstitutionSplit` a search fits every
# candidate once, on all training samples, and margin-AUC scores it on the same
# samples.

from sklearn.model_selection import GridSearchCV

from margin_sklearn import ResubstitutionSplit, margin_auc_score

widths = [(), (4,), (16,), (64, 32)]
search = GridSearchCV(
    model,
    {
        "network__module__hidden_layer_sizes": widths,
        "network__max_epochs": [5, 30],
    },
    scoring=margin_auc_score,
    cv=ResubstitutionSplit(),
)
search.fit(X_train, y_train)

# %%
# How good is this choice? Here, and only here, every candidate is evaluated on
# the test samples.

from sklearn.base import clone

results = search.cv_results_
candidates = results["params"]
networks = [clone(model).set_params(**params) for params in candidates]
for one in networks:
    one.fit(X_train, y_train)
table = pd.DataFrame(
    {
        "hidden layers": results["param_network__module__hidden_layer_sizes"],
        "epochs": results["param_network__max_epochs"],
        "margin-AUC": results["mean_test_score"],
        "test accuracy": [one.score(X_test, y_test) for one in networks],
    }
)
table = table.sort_values("margin-AUC", ascending=False).round(3)
print(table.to_string(index=False))

# %%
# The score prefers the networks that are most accurate on new customers, and
# puts the linear ones last.
#
# Two margin curves
# -----------------
#
# The score is the area under this curve between its floor and its ceiling. The
# curve shows distances to the decision boundary, in increasing order, of
# points near the training samples. Those below zero are misclassified: more by
# the last network of the table than by the first.

import matplotlib.pyplot as plt

from margin_sklearn import MarginCurveDisplay

_, ax = plt.subplots(figsize=(7, 4.5), layout="constrained")
for name, place in {"first": 0, "last": -1}.items():
    one = networks[table.index[place]]
    MarginCurveDisplay.from_estimator(one, X_train, y_train, name=name, ax=ax)
ax.set_title("Margins near the training samples")
plt.show()

# %%
# The customers nearest to the boundary
# -------------------------------------
#
# The margins come in the order of the rows, so they can be a column of the
# table: these are the training samples on the wrong side of the boundary,
# or nearest to it. The column ``random`` says who decided at random.

from margin_sklearn import margins

distance = margins(search, X_train, y_train, scale="distance")
shown = ["contract", "months", "data_gb", "calls"]
nearest = X_train[shown].assign(
    label=y_train,
    distance=distance,
    random=at_random[X_train.index],
)
print(nearest.nsmallest(6, "distance").round(2).to_string())

# %%
# So the margins point to customers whose decision no rule explains.
