"""
A search by Optuna, with one fit per trial
==========================================

:class:`~margin_sklearn.MarginSearchCV` takes its candidates from a grid or at random.
`Optuna <https://optuna.org>`__'s TPE sampler proposes each next candidate from the results of
those before. As the objective it usually gets a cross-validated error, which costs five fits
per trial. Here it minimises the complement of margin-AUC: one fit per trial, on all training
samples.
"""

import matplotlib.pyplot as plt
import optuna
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from margin_sklearn import MarginClassifier, margin_auc_score

X, y = load_digits(return_X_y=True)
X, X_test, y, y_test = train_test_split(X, y, train_size=600, stratify=y, random_state=0)

# %%
# The objective
# -------------
# A trial proposes the parameters; the network is fitted and scored on the same samples. The
# accuracy on new digits is noted for the figure; Optuna does not see it.


def objective(trial):
    network = MarginClassifier(
        module__hidden_layer_sizes=(trial.suggest_int("width", 8, 128, log=True),),
        module__dropout=trial.suggest_float("dropout", 0.0, 0.5),
        lr=trial.suggest_float("lr", 1e-3, 1e-1, log=True),
        weight_decay=trial.suggest_float("weight_decay", 1e-3, 1.0, log=True),
        device="cpu",
        random_state=0,
    )
    model = make_pipeline(StandardScaler(), network).fit(X, y)
    trial.set_user_attr("test accuracy", model.score(X_test, y_test))
    return 1 - margin_auc_score(model, X, y)


optuna.logging.set_verbosity(optuna.logging.WARNING)
study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=0))
study.optimize(objective, n_trials=30)
print(study.best_params)
print("test accuracy", round(study.best_trial.user_attrs["test accuracy"], 3))

# %%
# What it found
# -------------
# The first ten trials are random. Trials with a low objective are accurate on new digits, and
# most of the later ones have one.

trials = study.trials
values = [trial.value for trial in trials]
accuracy = [trial.user_attrs["test accuracy"] for trial in trials]
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.5), layout="constrained")
left.plot(range(1, len(values) + 1), values, "o", color="C0")
left.axvline(10.5, color="0.7", linestyle="--")
left.set(xlabel="trial", ylabel="1 − margin-AUC (training samples)")
points = right.scatter(values, accuracy, c=range(1, len(values) + 1), cmap="viridis")
figure.colorbar(points, ax=right, label="trial")
right.set(xlabel="1 − margin-AUC (training samples)", ylabel="accuracy on new digits")
plt.show()
