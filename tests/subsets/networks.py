"""Small networks and selectors, and what they did, for the tests of subsets."""

from skorch.callbacks import Callback

from margin_sklearn import MarginClassifier, MarginSubsetSelector


def network(**settings):
    return MarginClassifier(
        **{
            "module__hidden_layer_sizes": (64,),
            "module__dropout": 0.0,
            "lr": 1e-2,
            "random_state": 0,
            "device": "cpu",
            **settings,
        }
    )


def selector(estimator=None, **settings):
    estimator = network() if estimator is None else estimator
    return MarginSubsetSelector(
        estimator,
        **{"n_samples_to_select": 0.05, "continue_epochs": 4, "random_state": 0, **settings},
    )


class Recorder(Callback):
    """Notes the samples, their number and the learning rate of each epoch."""

    def on_train_begin(self, net, **kwargs):
        self.active = []

    def on_epoch_begin(self, net, dataset_train=None, **kwargs):
        active = dataset_train.active
        self.active.append(None if active is None else active.numpy().copy())


def recorded(fitted):
    return dict(fitted.estimator_.net_.callbacks_)["recorder"].active
