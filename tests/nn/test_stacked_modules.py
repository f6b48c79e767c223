"""Stacked modules compute what each of them computes."""

import copy

import pytest
import torch
from torch import nn

from margin_sklearn import MLP, ConvNet
from margin_sklearn.nn.stacked_modules import StackedModules, architecture


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(5, 6), nn.Linear(6, 6)
        self.norm, self.last = nn.BatchNorm1d(6), nn.Linear(6, 3)

    def forward(self, x):
        h = self.first(x)
        return self.last(h + torch.relu(self.norm(self.second(h))))


SHAPE = (5,)
MODULES = {
    "mlp": lambda: MLP(SHAPE, 3, hidden_layer_sizes=(6, 4), embeddings=None),
    "embeddings": lambda: MLP(SHAPE, 3, hidden_layer_sizes=(6,), embeddings="periodic"),
    "no batch norm": lambda: MLP(SHAPE, 3, (6,), batch_norm=False, activation="gelu"),
    "linear": lambda: MLP(SHAPE, 3, ()),
    "identity": lambda: MLP(SHAPE, 3, (4,), activation="identity"),
    "images": lambda: MLP((5, 1), 3, (6,)),
    "sequence": lambda: nn.Sequential(
        nn.Linear(5, 6, bias=False), nn.LeakyReLU(0.2), nn.Linear(6, 3)
    ),
    "in place": lambda: nn.Sequential(nn.Linear(5, 6), nn.ReLU(inplace=True), nn.Linear(6, 3)),
    "residual": Residual,
    "convolutions": lambda: ConvNet((4, 5), 3, channels=(2, 3)),
}
LAYERED = {*MODULES} - {"residual", "convolutions"}
INPUT = {"images": (5, 1), "convolutions": (4, 5)}


@pytest.fixture(params=list(MODULES))
def name(request):
    return request.param


def made(name, n=3):
    torch.manual_seed(0)
    modules = [MODULES[name]() for _ in range(n)]
    for module in modules:
        for part in module.modules():
            if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
                nn.init.uniform_(part.running_mean)
                nn.init.uniform_(part.weight, 0.5, 2.0)
    return modules, torch.randn(n, 7, *INPUT.get(name, SHAPE))


def test_logits_and_gradients_are_those_of_each_module(name):
    modules, x = made(name)
    stack = StackedModules(modules)
    assert stack.layered == (name in LAYERED)
    for training in (False, True):
        logits = stack.logits(x.clone(), training)
        gradients = torch.empty_like(stack.flat)
        stack.gradients(logits.square().sum(), gradients)
        for k, module in enumerate(modules):
            alone = module.train(training)(x[k].clone())
            torch.testing.assert_close(logits[k], alone, rtol=1e-4, atol=1e-5)
            module.zero_grad()
            alone.square().sum().backward()
            for part, weight in zip(
                stack.parts(gradients[k]), module.parameters(), strict=True
            ):
                torch.testing.assert_close(part, weight.grad, rtol=1e-3, atol=1e-4)
    # Batch norm's statistics moved in training mode, in the same way.
    for k, module in enumerate(modules):
        for key, buffer in module.named_buffers():
            torch.testing.assert_close(stack.buffers[key][k], buffer, rtol=1e-4, atol=1e-5)


def test_bound_modules_have_the_present_weights(name):
    modules, x = made(name)
    layouts = [weight.stride() for weight in modules[0].parameters()]
    stack = StackedModules(modules)
    stack.bind()
    with torch.no_grad():
        stack.flat.mul_(1.5)
        stack.logits(x.clone(), training=True)
    expected = stack.logits(x.clone()).detach()
    for each in ("bound", "released"):
        for k, module in enumerate(modules):
            with torch.no_grad():
                alone = module.eval()(x[k].clone())
            torch.testing.assert_close(alone, expected[k], rtol=1e-4, atol=1e-5)
        if each == "bound":
            stack.release()
            stack.flat.detach().zero_()
    # Each module has memory of its own again, in its own layout.
    assert [weight.stride() for weight in modules[0].parameters()] == layouts
    for weight in modules[1].parameters():
        assert weight.untyped_storage().nbytes() == 4 * weight.numel()


def test_a_stack_agrees_with_its_modules(name):
    modules, x = made(name)
    stack = StackedModules(modules)
    before = copy.deepcopy(stack.buffers)
    assert stack.agrees(x[0][:2])
    for key, buffer in stack.buffers.items():
        assert torch.equal(buffer, before[key])
    assert all(weight.grad is None for weight in stack.weights.values())


class DependsOnValues(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(5, 3)

    def forward(self, x):
        return self.layer(x) if x.sum() > 0 else -self.layer(x)


class RemembersElsewhere(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer, self.shift = nn.Linear(5, 3), torch.rand(()).item()

    def forward(self, x):
        return self.layer(x) + self.shift


class TrainsOtherwise(RemembersElsewhere):
    def forward(self, x):
        return self.layer(x) + (self.shift if self.training else 0.0)


class Counts(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer, self.calls = nn.Linear(5, 3), 0

    def forward(self, x):
        self.calls += self.training
        return self.layer(x)


class ReplacesBuffer(nn.Module):
    """torch.func forgets what is put in place of a buffer."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(5, 3)
        self.register_buffer("mean", torch.zeros(5))

    def forward(self, x):
        if self.training:
            self.mean = 0.9 * self.mean + 0.1 * x.mean(0)
        return self.layer(x - self.mean)


class HasUnusedWeights(nn.Module):
    """torch's optimizers pass over them, with their weight decay."""

    def __init__(self):
        super().__init__()
        self.layer, self.unused = nn.Linear(5, 3), nn.Linear(5, 3)

    def forward(self, x):
        return self.layer(x)


class RefusesVmap(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(5, 3)

    def forward(self, x):
        assert x.numpy(force=True).ndim == 2
        assert not torch._C._functorch.is_batchedtensor(x)
        return self.layer(x)


KINDS = [
    DependsOnValues,
    RemembersElsewhere,
    TrainsOtherwise,
    Counts,
    ReplacesBuffer,
    HasUnusedWeights,
    RefusesVmap,
]


@pytest.mark.parametrize("kind", KINDS)
def test_modules_that_cannot_be_stacked_do_not_agree(kind):
    modules = [kind(), kind(), kind()]
    assert architecture(modules[0]) is not None
    assert not StackedModules(modules).agrees(torch.randn(2, 5))
    assert getattr(modules[0], "calls", 0) == 0


def shared_activation():
    activation = nn.Tanh()
    return nn.Sequential(nn.Linear(5, 5), activation, nn.Linear(5, 5), activation)


def tied_layers():
    layer = nn.Linear(5, 5)
    return nn.Sequential(layer, nn.Tanh(), layer)


def test_layers_that_occur_twice():
    assert architecture(tied_layers()) is None
    modules = [shared_activation() for _ in range(3)]
    stack, x = StackedModules(modules), torch.randn(3, 7, 5)
    assert not stack.layered
    assert stack.agrees(x[0][:2])
    for k, module in enumerate(modules):
        torch.testing.assert_close(stack.logits(x)[k], module.eval()(x[k]))


def test_shares_of_dropout_may_differ():
    torch.manual_seed(0)
    shares = (0.1, 0.5, 0.8, 1.0)
    modules = [
        nn.Sequential(nn.Linear(5, 2000), nn.Dropout(p), nn.Linear(2000, 2000)) for p in shares
    ]
    assert len({architecture(module) for module in modules}) == 1
    for module in modules:
        nn.init.constant_(module[0].weight, 0.0)
        nn.init.constant_(module[0].bias, 1.0)
        nn.init.eye_(module[2].weight)
        nn.init.zeros_(module[2].bias)
    stack = StackedModules(modules)
    x = torch.randn(4, 10, 5)
    assert torch.equal(stack.logits(x), torch.ones(4, 10, 2000))
    dropped = stack.logits(x, training=True)
    assert torch.equal(dropped[3], torch.zeros(10, 2000))
    for k, p in enumerate(shares[:3]):
        assert abs((dropped[k] == 0).float().mean() - p) < 0.02
        torch.testing.assert_close(dropped[k].max().item(), 1 / (1 - p))
    # The same share for all is drawn at once, differently for each.
    alike = StackedModules([modules[1], modules[1]]).logits(x[:2], training=True)
    assert not torch.equal(alike[0], alike[1])


def hooked():
    module = MLP(SHAPE, 3)
    module[0].register_forward_hook(lambda *_: None)
    return module


def hooked_backwards():
    module = MLP(SHAPE, 3)
    module[0].register_full_backward_pre_hook(lambda *_: None)
    return module


def hooked_weight():
    module = MLP(SHAPE, 3)
    module[0].weight.register_hook(lambda gradient: 0.1 * gradient)
    return module


def with_own_forward():
    module = MLP(SHAPE, 3)
    module[0].forward = lambda x: 2 * type(module[0]).forward(module[0], x)
    return module


def sparse_buffer():
    module = Residual()
    module.register_buffer("pairs", torch.eye(3).to_sparse())
    return module


def frozen():
    module = MLP(SHAPE, 3)
    next(module.parameters()).requires_grad_(False)
    return module


@pytest.mark.parametrize(
    "make",
    [
        hooked,
        hooked_backwards,
        hooked_weight,
        with_own_forward,
        sparse_buffer,
        frozen,
        lambda: MLP(SHAPE, 3).double(),
        nn.Identity,
        nn.LazyLinear(3).cpu,
    ],
)
def test_what_has_no_architecture_is_not_stacked(make):
    assert architecture(make()) is None


def with_buffer(size):
    module = Residual()
    module.register_buffer("chosen", torch.zeros(size))
    return module


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (MLP(SHAPE, 3, (6,)), MLP(SHAPE, 3, (7,))),
        (MLP(SHAPE, 3, (6,)), MLP(SHAPE, 3, (6,), activation="tanh")),
        (MLP(SHAPE, 3, (6,)), MLP(SHAPE, 3, (6,), batch_norm=False)),
        (
            nn.Sequential(nn.LeakyReLU(0.1), nn.Linear(5, 3)),
            nn.Sequential(nn.LeakyReLU(), nn.Linear(5, 3)),
        ),
        (Residual(), MLP(SHAPE, 3)),
        (with_buffer(2), with_buffer(3)),
    ],
)
def test_architectures_differ(one, other):
    assert architecture(one) != architecture(other)
    assert architecture(one) == architecture(copy.deepcopy(one))
