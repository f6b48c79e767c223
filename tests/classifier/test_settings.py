"""Settings that no fit can use are refused before any work."""

import numpy as np
import pytest
import torch
from torch import nn

from margin_sklearn import (
    MarginClassifier,
)
from tests.training.modules import FixedSizes


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"lr": 0.0}, "lr"),
        ({"lr": np.inf}, "lr"),
        ({"weight_decay": -1.0}, "weight_decay"),
        ({"max_epochs": 0}, "max_epochs"),
        ({"batch_size": 0}, "batch_size"),
        ({"criterion": "hinge"}, "hinge"),
        ({"optimizer": "rprop"}, "rprop"),
        ({"module": 3}, "module"),
        ({"device": "tpu"}, "device"),
        ({"callbacks": [3]}, "callbacks"),
        ({"callbacks": "disable"}, "callbacks"),
        ({"criterion": nn.BCEWithLogitsLoss}, "BCEWithLogitsLoss cannot take logits"),
        ({"criterion": nn.MSELoss}, "MSELoss cannot take logits"),
        ({"criterion__reduction": "none"}, "one number for a batch"),
        ({"optimizer": torch.optim.LBFGS}, "LBFGS has no weight_decay"),
        ({"criterion": nn.NLLLoss}, "cross_entropy"),
        ({"module": FixedSizes(), "module__width": 3}, "pass the class"),
    ],
)
def test_unusable_settings_raise(digits, settings, match):
    with pytest.raises(ValueError, match=match):
        MarginClassifier(**settings).fit(*digits)


def test_a_setting_of_the_wrong_type_raises(digits):
    with pytest.raises(TypeError, match="max_epochs"):
        MarginClassifier(max_epochs=2.5).fit(*digits)
