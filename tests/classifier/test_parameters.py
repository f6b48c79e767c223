import pytest
import torch
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from margin_sklearn import ConvNet, MarginClassifier


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        # of MLPClassifier
        ("hidden_layer_sizes", "module__hidden_layer_sizes"),
        ("activation", "module__activation"),
        ("solver", "optimizer"),
        ("alpha", "weight_decay"),
        ("learning_rate_init", "lr"),
        ("max_iter", "max_epochs"),
        ("momentum", "optimizer__momentum"),
        ("early_stopping", "restore_best='margin_auc'"),
        # of others
        ("learning_rate", "lr_schedule"),
        ("epochs", "max_epochs"),
        ("loss", "criterion"),
        ("dropout", "module__dropout"),
        # misspelt
        ("max_epoch", "max_epochs"),
        ("bach_size", "batch_size"),
        ("hiden_layer_sizes", "module__hidden_layer_sizes"),
        ("modul__dropout", "module__dropout"),
        ("module_hidden_layer_sizes", "module__hidden_layer_sizes"),
    ],
)
def test_what_a_name_was_meant_to_be(name, meant, iris):
    match = f"{name}.*Did you mean {meant}\\?$"
    with pytest.raises(TypeError, match=match):
        MarginClassifier(**{name: 3})
    with pytest.raises(ValueError, match=match):
        MarginClassifier().set_params(**{name: 3})
    with pytest.raises(ValueError, match=match):
        GridSearchCV(MarginClassifier(), {name: [3]}).fit(*iris)
    model = make_pipeline(StandardScaler(), MarginClassifier())
    with pytest.raises(ValueError, match=match):
        GridSearchCV(model, {f"marginclassifier__{name}": [3]}).fit(*iris)


def test_parameters_of_the_parts_that_were_given_are_known():
    with pytest.raises(TypeError, match="Did you mean module__channels"):
        MarginClassifier(ConvNet, channels=3)
    with pytest.raises(TypeError, match="Did you mean optimizer__dampening"):
        MarginClassifier(optimizer=torch.optim.SGD, dampening=0.1)
    with pytest.raises(TypeError, match="Did you mean criterion__ignore_index"):
        MarginClassifier(criterion=torch.nn.CrossEntropyLoss, ignore_index=0)


@pytest.mark.parametrize("name", ["wibble", "shuffle", "power_t"])
def test_nothing_is_guessed_of_a_name_like_no_other(name):
    with pytest.raises(TypeError, match=name) as error:
        MarginClassifier(**{name: 3})
    assert "Did you mean" not in str(error.value)


def test_a_factory_without_a_signature():
    with pytest.raises(TypeError, match="Did you mean max_epochs"):
        MarginClassifier(int, max_iter=3)
