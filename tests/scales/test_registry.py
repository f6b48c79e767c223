import copy
import dataclasses

import numpy as np
import pytest
import torch

from margin_sklearn import margins
from margin_sklearn.adapters.registry import as_network
from margin_sklearn.scales.registry import SAMPLE_SIZES, SCALES, get_scale

from .networks import (
    relu_network,
    scaled,
)

NAMES = list(SCALES)


def test_these_are_the_scales():
    assert set(SCALES) == {
        None, "distance", "frobenius", "path", "spectral", "total_variation"
    }  # fmt: skip


@pytest.mark.parametrize("scale", NAMES)
@pytest.mark.parametrize("c", [0.01, 3.0, 1e4])
def test_scaling_one_layer_up_and_the_next_down_changes_nothing(points, scale, c):
    network = relu_network()
    before = scaled(network, scale, *points)
    with torch.no_grad():
        network.module[0].weight *= c
        network.module[0].bias *= c
        network.module[2].weight /= c
    np.testing.assert_allclose(scaled(network, scale, *points), before, rtol=1e-9)


@pytest.mark.parametrize("scale", [None, "distance", "path"])
def test_scaling_one_unit_up_and_what_it_leads_to_down_changes_nothing(points, scale):
    network = relu_network()
    before = scaled(network, scale, *points)
    with torch.no_grad():
        network.module[0].weight[3] *= 100.0
        network.module[0].bias[3] *= 100.0
        network.module[2].weight[:, 3] /= 100.0
    np.testing.assert_allclose(scaled(network, scale, *points), before, rtol=1e-9)


@pytest.mark.parametrize("scale", [name for name in NAMES if name is not None])
def test_scaling_all_logits_changes_no_scaled_margin(points, scale):
    network = relu_network()
    before = scaled(network, scale, *points)
    with torch.no_grad():
        network.module[-1].weight *= 7.0
        network.module[-1].bias *= 7.0
    np.testing.assert_allclose(scaled(network, scale, *points), before, rtol=1e-9)


@pytest.mark.parametrize("scale", NAMES)
def test_scaled_margins_have_the_sign_of_the_margins(points, scale):
    network = relu_network()
    raw = scaled(network, None, *points)
    np.testing.assert_array_equal(np.sign(scaled(network, scale, *points)), np.sign(raw))


@pytest.mark.parametrize("scale", NAMES)
def test_constant_logits_permutations_and_class_names_change_nothing(points, scale, rng):
    X, y = points
    network = relu_network()
    before = scaled(network, scale, X, y)
    order = rng.permutation(len(y))
    np.testing.assert_allclose(scaled(network, scale, X[order], y[order]), before[order])
    names = rng.permutation(4)
    with torch.no_grad():
        last = network.module[-1]
        last.bias += 5.0
        last.weight.copy_(last.weight[names].clone())
        last.bias.copy_(last.bias[names].clone())
    np.testing.assert_allclose(scaled(network, scale, X, np.argsort(names)[y]), before)


@pytest.mark.parametrize("scale", NAMES)
def test_a_margin_does_not_depend_on_the_batch(points, scale):
    X, y = points
    network = relu_network()
    together = scaled(network, scale, X, y)
    apart = [scaled(network, scale, X[[i]], y[[i]], sample=X) for i in range(len(y))]
    np.testing.assert_allclose(np.concatenate(apart), together, rtol=1e-12)


@pytest.mark.parametrize("scale", NAMES)
def test_float32_and_float64_agree(points, scale):
    wide = relu_network()
    narrow = dataclasses.replace(
        wide, module=copy.deepcopy(wide.module).float(), dtype=torch.float32
    )
    np.testing.assert_allclose(
        scaled(narrow, scale, *points), scaled(wide, scale, *points), rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("scale", NAMES)
def test_fitted_networks_agree_in_float64(fitted, digits, scale):
    X, y = digits
    network = as_network(fitted)
    wide = dataclasses.replace(
        network, module=copy.deepcopy(network.module).double(), dtype=torch.float64
    )
    np.testing.assert_allclose(
        scaled(wide, scale, X, y), margins(fitted, X, y, scale=scale), rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("name", ["norm", 3, ["distance"], True])
def test_unknown_scales_raise(name):
    with pytest.raises(ValueError, match="scale must be one of"):
        get_scale(name)


def test_names_are_those_of_the_functions():
    for name, function in SCALES.items():
        assert get_scale(name) is function
        assert function.__name__ == (name or "raw")
    assert set(SAMPLE_SIZES) <= set(SCALES.values())
