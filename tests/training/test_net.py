import numpy as np
import pytest
import torch
from torch import nn

from margin_sklearn import MLP, MarginClassifier


@pytest.mark.parametrize("schedule", ["constant", "one_cycle"])
def test_fit_is_the_hand_written_loop(digits, schedule):
    """Same seed, same steps: the weights are those of PyTorch written out, to the last bit."""
    X, y = digits
    estimator = MarginClassifier(
        max_epochs=3,
        batch_size=50,
        criterion="cross_entropy",
        lr=1.0 if schedule == "one_cycle" else 1e-3,
        lr_schedule=schedule,
        weight_decay=0.01,
        random_state=7,
        device="cpu",
    ).fit(X, y)
    before = torch.get_rng_state()
    seed = int(np.random.RandomState(7).randint(2**31 - 1))
    torch.manual_seed(seed)
    module = MLP((64,), 10)
    optimizer = torch.optim.AdamW(module.parameters(), lr=1e-3, weight_decay=0.01, fused=True)
    # The order of the samples has a generator of its own.
    of_order = np.random.SeedSequence([seed, 1]).generate_state(1, np.uint64)[0]
    generator = torch.Generator().manual_seed(int(of_order) >> 1)
    scheduler = None
    if schedule == "one_cycle":
        scheduler = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, 1.0, total_steps=36, cycle_momentum=False
        )
    inputs, targets = torch.tensor(X, dtype=torch.float32), torch.tensor(y)
    for epoch in range(3):
        module.train()
        order = torch.randperm(len(y), generator=generator)
        for start in range(0, len(y), 50):
            index = order[start : start + 50]
            optimizer.zero_grad()
            nn.functional.cross_entropy(module(inputs[index]), targets[index]).backward()
            optimizer.step()
            if scheduler is not None and (epoch, start) < (2, 550):
                scheduler.step()
    torch.set_rng_state(before)
    for name, value in module.state_dict().items():
        assert torch.equal(value, estimator.net_.module_.state_dict()[name]), name


def test_the_net_works_by_itself(fitted, digits):
    X, _ = digits
    logits = fitted.net_.forward(X.astype(np.float32))
    np.testing.assert_allclose(logits, fitted.decision_function(X), rtol=1e-5, atol=1e-5)


def test_a_weighted_loss_is_the_mean_of_weight_times_loss(fitted):
    net = fitted.net_
    logits, target = torch.randn(4, 10), torch.tensor([1, 2, 3, 4])
    weight = torch.tensor([0.5, 2.0, 0.5, 1.0])
    with net.weighting():
        each = net.get_loss(logits, (target, None))
        weighted = net.get_loss(logits, (target, weight))
    assert net.criterion_.reduction == "mean"
    assert weighted == pytest.approx((each * weight).sum() / 4)
    torch.testing.assert_close(net.get_loss(logits, (target, None)), each.mean())
