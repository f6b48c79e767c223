"""
How do I search with Optuna, one fit per trial?
===============================================

:class:`~margin_sklearn.MarginSearchCV` takes its candidates from a grid or at
random. `Optuna <https://optuna.org>`__'s TPE sampler proposes each next
candidate from the results of those before. Its objective is usually a
cross-validated error, which costs five fits per trial. Here it maximises
margin-AUC: one fit per trial, on all training samples.
"""

import matplotlib.pyplot as plt
import optuna
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from margin_sklearn import MarginClassifier, margin_auc_score

X, y = load_digits(return_X_y=True)
X, X_test, y, y_test = train_test_split(
    X,
    y,
    train_size=400,
    stratify=y,
    random_state=0,
)

# %%
# The objective
# -------------
#
# A trial proposes the parameters; the network is fitted and scored on the same
# samples. The accuracy on new digits is noted for the figure; Optuna does not
# see it.


def objective(trial):
    width = trial.suggest_int("width", 4, 128, log=True)
    network = MarginClassifier(
        module__hidden_layer_sizes=width,
        module__dropout=trial.suggest_float("dropout", 0.0, 0.5),
        lr=trial.suggest_float("lr", 1e-3, 1e-1, log=True),
        weight_decay=trial.suggest_float("weight_decay", 1e-3, 1.0, log=True),
        device="cpu",
        random_state=0,
    )
    model = make_pipeline(StandardScaler(), network).fit(X, y)
    trial.set_user_attr("accuracy", model.score(X_test, y_test))
    return margin_auc_score(model, X, y)


optuna.logging.set_verbosity(optuna.logging.WARNING)
study = optuna.create_study(
    direction="maximize",
    sampler=optuna.samplers.TPESampler(seed=0),
)
study.optimize(objective, n_trials=30)

# %%
# The best five trials, with the accuracy on new digits:

table = study.trials_dataframe(("number", "value", "params", "user_attrs"))
prefixes = "params_|user_attrs_"
table.columns = table.columns.str.replace(prefixes, "", regex=True)
best = table.nlargest(5, "value").set_index("number")
best = best.rename(columns={"value": "margin-AUC"})
print(best.to_string(float_format="{:.3g}".format))

# %%
# What it found
# -------------
#
# The first ten trials, left of the line, are random. Most of the later ones
# have a high margin-AUC, and trials with a high margin-AUC are accurate on new
# digits.

values = table["value"]
figure, (left, right) = plt.subplots(
    1,
    2,
    figsize=(8, 3.6),
    layout="constrained",
)
left.plot(values.index + 1, values, "o", alpha=0.6, label="trial")
left.plot(values.index + 1, values.cummax(), label="best so far")
left.axvline(10.5, color="0.6", linestyle="--")
left.set(xlabel="Trial", ylabel="Margin-AUC, training samples")
left.legend(loc="lower right")
points = right.scatter(values, table["accuracy"], c=values.index + 1)
figure.colorbar(points, ax=right, label="Trial")
right.set(
    xlabel="Margin-AUC, training samples",
    ylabel="Accuracy on new digits",
)
plt.show()

# %%
# Thirty fits replace the 150 of a cross-validated objective. To choose among
# the first few trials, cross-validate those (:ref:`choosing`).
