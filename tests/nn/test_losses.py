import pytest
import torch
from torch.nn.functional import cross_entropy

from margin_sklearn.nn.losses import ExponentialLoss, LogisticLoss


@pytest.fixture
def case():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(9, 4, generator=generator, dtype=torch.float64)
    return logits, torch.randint(4, (9,), generator=generator)


def test_cross_entropy_is_the_log_of_one_plus_the_exponential_loss(case):
    exponential = ExponentialLoss(reduction="none")(*case)
    torch.testing.assert_close(
        torch.log1p(exponential), cross_entropy(*case, reduction="none")
    )


def test_logistic_loss_of_two_classes_is_cross_entropy(case):
    logits, target = case[0][:, :2], case[1] % 2
    torch.testing.assert_close(LogisticLoss()(logits, target), cross_entropy(logits, target))


@pytest.mark.parametrize("loss", [ExponentialLoss, LogisticLoss])
def test_losses_equal_their_definition(loss, case):
    def ell(t):
        return torch.exp(-t) if loss is ExponentialLoss else torch.log1p(torch.exp(-t))

    logits, target = case
    expected = torch.stack(
        [
            sum(ell(row[y] - row[j]) for j in range(4) if j != y)
            for row, y in zip(logits, target, strict=True)
        ]
    )
    torch.testing.assert_close(loss(reduction="none")(logits, target), expected)
    torch.testing.assert_close(loss()(logits, target), expected.mean())
    torch.testing.assert_close(loss(reduction="sum")(logits, target), expected.sum())
    # A constant on all logits changes nothing; a larger own logit lowers the loss.
    torch.testing.assert_close(loss()(logits + 3, target), expected.mean())
    raised = logits + 0.1 * torch.nn.functional.one_hot(target, 4)
    assert loss()(raised, target) < expected.mean()


def test_gradients_are_finite_and_right(case):
    logits, target = case[0].requires_grad_(), case[1]
    for loss in (ExponentialLoss(), LogisticLoss()):
        assert torch.autograd.gradcheck(lambda x, loss=loss: loss(x, target), (logits,))


def test_an_unknown_reduction_raises():
    with pytest.raises(ValueError, match="'median'"):
        ExponentialLoss(reduction="median")
