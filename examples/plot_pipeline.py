"""
Choosing a network for a table of customers
===========================================

A table with strings and numbers, string labels, and a :class:`~sklearn.pipeline.Pipeline`: a
network is used in it like any other classifier. Here one is chosen among several, first by
cross-validation, then by margin-AUC on the training set, with a single fit per candidate.
"""

# %%
# A table of customers
# --------------------
#
# The customers of a telephone company are simulated, with a known rule, so that we know what
# there is to learn. A customer
#
# * *leaves* after too many calls to the helpdesk; the longer the contract and the time as a
#   customer, the more calls are tolerated;
# * otherwise *upgrades* if the data used exceed what the tariff includes, unless the customer
#   pays by invoice;
# * otherwise *stays*.
#
# Two in a hundred decide at random.

import numpy as np
import pandas as pd

rng = np.random.default_rng(0)
n_customers = 1500
customers = pd.DataFrame(
    {
        "contract": rng.choice(["monthly", "one year", "two years"], n_customers),
        "payment": rng.choice(["card", "debit", "invoice"], n_customers, p=[0.5, 0.3, 0.2]),
        "region": rng.choice(["north", "east", "south", "west"], n_customers),
        "months": rng.gamma(2.0, 15.0, n_customers).round(),
        "charge": rng.normal(35.0, 10.0, n_customers).clip(10.0).round(2),
        "data_gb": rng.lognormal(2.5, 0.8, n_customers).round(1),
        "calls": rng.poisson(2.0, n_customers),
    }
)
patience = customers["contract"].map({"monthly": 0.5, "one year": 2.0, "two years": 3.5})
leaves = customers["calls"] > patience + customers["months"] / 30
upgrades = (customers["data_gb"] > 0.5 * customers["charge"]) & (
    customers["payment"] != "invoice"
)
decision = np.select([leaves, upgrades], ["leaves", "upgrades"], "stays")
does_as_they_like = rng.random(n_customers) < 0.02
decision[does_as_they_like] = rng.choice(
    ["leaves", "stays", "upgrades"], does_as_they_like.sum()
)
y = pd.Series(decision, name="decision")

customers.assign(decision=y).head()

# %%
y.value_counts()

# %%
# The pipeline
# ------------
#
# Strings are one-hot encoded and numbers are standardised: a network learns best from inputs
# on similar scales, and only then are distances between customers, which margin-AUC below
# uses, meaningful. The network adapts to the number of columns it receives.

from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.model_selection import cross_val_score, train_test_split
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from margin_sklearn import MarginClassifier, margin_auc_score

X_train, X_test, y_train, y_test = train_test_split(
    customers, y, test_size=500, stratify=y, random_state=0
)
model = Pipeline(
    [
        (
            "columns",
            make_column_transformer(
                (
                    OneHotEncoder(handle_unknown="ignore"),
                    make_column_selector(dtype_exclude="number"),
                ),
                (StandardScaler(), make_column_selector(dtype_include="number")),
            ),
        ),
        ("network", MarginClassifier(max_epochs=30, random_state=0)),
    ]
)
model.fit(X_train, y_train)
print(model.predict(X_test)[:5])

# %%
# Cross-validation works as usual; ``margin_auc_score`` is a scorer like any other. Here it is
# computed on samples that each network has *not* seen.

accuracy = cross_val_score(model, X_train, y_train, cv=5)
margin_auc = cross_val_score(model, X_train, y_train, cv=5, scoring=margin_auc_score)
print(f"accuracy    {accuracy.mean():.3f} ± {accuracy.std():.3f}")
print(f"margin-AUC  {margin_auc.mean():.3f} ± {margin_auc.std():.3f}")

# %%
# One fit per candidate
# ---------------------
#
# The score is meant for the training set. With :class:`~margin_sklearn.ResubstitutionSplit`
# the search fits every candidate once, on all samples, and scores it on the same samples.

from sklearn.model_selection import GridSearchCV

from margin_sklearn import ResubstitutionSplit

search = GridSearchCV(
    model,
    {
        "network__module__hidden_layer_sizes": [(), (16,), (64, 32), (256, 128)],
        "network__max_epochs": [5, 30],
    },
    scoring=margin_auc_score,
    cv=ResubstitutionSplit(),
)
search.fit(X_train, y_train)
print(search.best_params_)

# %%
# How good is this choice? Here, and only here, every candidate is evaluated on the test
# samples, to see whether the score ranks the candidates correctly.

from sklearn.base import clone

candidates = search.cv_results_["params"]
networks = [clone(model).set_params(**params).fit(X_train, y_train) for params in candidates]
pd.DataFrame(
    {
        "hidden layers": [str(p["network__module__hidden_layer_sizes"]) for p in candidates],
        "epochs": [p["network__max_epochs"] for p in candidates],
        "margin-AUC": search.cv_results_["mean_test_score"],
        "test accuracy": [network.score(X_test, y_test) for network in networks],
    }
).sort_values("margin-AUC", ascending=False).round(3)

# %%
# The score follows the test accuracy from the networks that underfit to those that learn
# enough. Among the best it prefers the network with the larger margins on the training
# samples, which need not be the more accurate one on new samples. It uses only the labels of
# the training set, so customers who decide at random raise the score of a network that
# memorises them. If many labels are wrong, choose by cross-validation.

# %%
# Two margin curves
# -----------------
#
# The score is the area under this curve, between its floor and its ceiling, and the number in
# the legend. The curve shows the margins, here distances to the decision boundary, in
# increasing order: not of the training samples themselves, which the network has learned, but
# of points near them, perturbed samples with the same labels. Misclassified points lie below
# zero.

import matplotlib.pyplot as plt

from margin_sklearn import MarginCurveDisplay

_, ax = plt.subplots(figsize=(7, 4.5), layout="constrained")
for params, network in zip(candidates, networks, strict=True):
    layers = params["network__module__hidden_layer_sizes"]
    if params["network__max_epochs"] == 30 and layers in [(), (256, 128)]:
        MarginCurveDisplay.from_estimator(
            network,
            X_train,
            y_train,
            name=f"hidden layers {layers}" if layers else "linear",
            ax=ax,
        )
ax.set_title("Margins near the training samples")
plt.show()
