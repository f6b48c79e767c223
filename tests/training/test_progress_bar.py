"""Progress is silent, a bar or a table."""

import re

from margin_sklearn import MarginClassifier, MarginSubsetSelector
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


def shown(text, name):
    """The values of one name, in the order in which the bar showed them."""
    return re.findall(rf"\b{name}=([^,\]]+)", text)


def test_the_bar_shows_the_margin_auc_and_the_best_epoch_so_far(iris, capsys):
    network = MarginClassifier(**SMALL, verbose=1)
    network.fit(*iris)
    assert "margin_auc" not in capsys.readouterr().err
    network.set_params(restore_best="margin_auc").fit(*iris)
    err = capsys.readouterr().err
    scores = network.history_[:, "margin_auc"]
    assert shown(err, "margin_auc")[-1] == f"{scores[-1]:.3f}"
    assert shown(err, "best_epoch")[-1] == str(network.best_epoch_)
    for epoch in map(int, shown(err, "best_epoch")):
        assert scores[epoch - 1] == max(scores[:epoch])


def test_the_best_epoch_is_known_in_the_next_training(iris, capsys):
    network = MarginClassifier(**SMALL, restore_best="margin_auc", warm_start=True, verbose=1)
    before = network.fit(*iris).best_epoch_
    capsys.readouterr()
    after = network.set_params(lr=1e-3).fit(*iris).best_epoch_
    epochs = [int(epoch) for epoch in shown(capsys.readouterr().err, "best_epoch")]
    assert epochs[-1] == after
    # That of the first training until a later one is better.
    assert {epoch for epoch in epochs if epoch <= 5} <= {before}


def test_the_bars_of_the_selector_show_phase_and_samples(digits, capsys):
    X, y = digits
    network = MarginClassifier(max_epochs=60, lr=1e-2, random_state=0)
    selector = MarginSubsetSelector(
        network, n_samples_to_select=30, separation=0.9, random_state=0, verbose=1
    ).fit(X, y)
    before, after = re.split(r"(?<!\w)(?=continuing)", capsys.readouterr().err, maxsplit=1)
    assert before.lstrip().startswith("separation:")
    assert set(shown(before, "samples")) == {str(len(X))}
    trained = selector.history_.query("phase == 'continuing'")["n_samples"]
    assert shown(after, "samples")[-1] == str(trained.iloc[-1]) == "30"
    assert set(shown(after, "samples")) <= {*map(str, trained)}
    # Later trainings of the network are ordinary ones again.
    selector.estimator_.set_params(warm_start=True, stop_at_separation=False, max_epochs=2)
    selector.estimator_.fit(X, y)
    err = capsys.readouterr().err
    assert "fit:" in err
    assert not shown(err, "samples")
