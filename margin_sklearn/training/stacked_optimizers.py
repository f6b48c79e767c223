"""Optimizers of stacked weights: a row per network, each with settings of its own."""

import math

import torch
from torch.optim.adam import adam
from torch.optim.adamw import adamw

__all__ = ["optimizer_key", "stacked_optimizer"]

# Options of torch's optimizers that stacked steps do not have.
_OPTIONS = ("amsgrad", "maximize", "capturable", "differentiable", "foreach")

# Weights per network from which fused steps are faster on a CPU (measured).
FUSED_FROM = 20_000


def optimizer_key(optimizer):
    """What optimizers must have in common for stacked steps.

    Parameters
    ----------
    optimizer : torch.optim.Optimizer

    Returns
    -------
    key : tuple or None
        None if there are no stacked steps of this kind: only those of plain AdamW, Adam and
        SGD with one group of parameters. Learning rates and weight decays may differ.
    """
    kind = type(optimizer)
    (group, *others) = optimizer.param_groups
    if kind not in _KINDS or others or any(group.get(name) for name in _OPTIONS):
        return None
    if isinstance(group["lr"], torch.Tensor) or optimizer.state:
        return None
    own = {"params", "lr", "initial_lr", "weight_decay", "fused", *_OPTIONS}
    return kind, *sorted((name, value) for name, value in group.items() if name not in own)


def stacked_optimizer(optimizers, flat):
    """Steps of several optimizers with the same :func:`optimizer_key` at once.

    Parameters
    ----------
    optimizers : list of torch.optim.Optimizer
        New ones, which have made no step.
    flat : torch.Tensor of float32 of shape (n_networks, n_weights)
        The weights, a row per network; every step changes them.

    Returns
    -------
    stacked : StackedAdam or StackedSGD
    """
    return _KINDS[type(optimizers[0])]([each.param_groups[0] for each in optimizers], flat)


class StackedAdam:
    """AdamW and Adam (Loshchilov and Hutter 2019, arXiv 1711.05101).

    For every step, :meth:`advance` and then :meth:`step`: what differs from step to step is
    read from tensors that stay where they are, so that a recorded step can be repeated.

    Parameters
    ----------
    groups : list of dict
        torch's settings of each network.
    flat : torch.Tensor of float32 of shape (n_networks, n_weights)
        Changed by every step.
    decoupled : bool
        Whether the weight decay is decoupled from the gradient, as in AdamW.
    """

    def __init__(self, groups, flat, decoupled):
        self.flat, self.decoupled = flat, decoupled
        self.beta1, self.beta2 = groups[0]["betas"]
        self.eps = groups[0]["eps"]
        self.decay = [float(group["weight_decay"]) for group in groups]
        self.mean, self.square = torch.zeros_like(flat), torch.zeros_like(flat)
        self.n_steps = 0
        # Where torch counts the steps.
        self._count_device = flat.device if groups[0].get("fused") else torch.device("cpu")
        # Few operations on the weights of all networks are fastest, but on a CPU memory limits
        # them: torch's fused steps, network by network, read and write every number once.
        self.fused = flat.device.type == "cpu" and flat.shape[1] > FUSED_FROM
        if not self.fused:
            self.decay_column = flat.new_tensor(self.decay).unsqueeze(1)
            self.step_length, self.root = torch.empty_like(flat), torch.empty_like(flat)
            # Of the present step: the share of the weights that is kept, the rate, and the
            # root, with Adam's corrections of the means.
            self.factors = flat.new_zeros(3, len(flat), 1)

    def begin_epoch(self, rates):
        """Set the learning rates of the next steps.

        Parameters
        ----------
        rates : ndarray of float64 of shape (n_steps, n_networks)
        """
        self.rates = iter(rates.tolist() if self.fused else self._factors(rates))

    def _factors(self, rates):
        """The factors of each step, in a tensor of shape (n_steps, 3, n_networks, 1)."""
        rate = self.flat.new_tensor(rates).unsqueeze(2)
        steps = range(self.n_steps + 1, self.n_steps + 1 + len(rates))
        of_mean = rate.new_tensor([1 - self.beta1**step for step in steps]).view(-1, 1, 1)
        of_root = rate.new_tensor([math.sqrt(1 - self.beta2**step) for step in steps])
        return torch.stack(
            [
                1 - rate * self.decay_column,
                rate / of_mean,
                of_root.view(-1, 1, 1).expand_as(rate),
            ],
            dim=1,
        )

    def advance(self):
        """Go on to the next step."""
        self.n_steps += 1
        now = next(self.rates)
        if self.fused:
            self.rates_now = now
        else:
            self.factors.copy_(now)

    def step(self, gradients):
        """Make the present step.

        Parameters
        ----------
        gradients : torch.Tensor of float32 of shape (n_networks, n_weights)
            Overwritten.
        """
        (self._fused if self.fused else self._plain)(gradients)

    def _fused(self, gradients):
        make_step = adamw if self.decoupled else adam
        alike: dict[tuple[float, float], list[int]] = {}
        for k, settings in enumerate(zip(self.rates_now, self.decay, strict=True)):
            alike.setdefault(settings, []).append(k)
        for (rate, decay), places in alike.items():
            make_step(
                [self.flat[k] for k in places],
                [gradients[k] for k in places],
                [self.mean[k] for k in places],
                [self.square[k] for k in places],
                [],
                # The steps made before; torch adds this one.
                [torch.tensor(self.n_steps - 1.0) for _ in places],
                fused=True,
                lr=rate,
                beta1=self.beta1,
                beta2=self.beta2,
                weight_decay=decay,
                eps=self.eps,
                amsgrad=False,
                maximize=False,
            )

    def _plain(self, gradients):
        kept, rate, of_root = self.factors
        if self.decoupled:
            self.flat.mul_(kept)
        else:
            gradients.addcmul_(self.flat, self.decay_column)
        self.mean.lerp_(gradients, 1 - self.beta1)
        self.square.mul_(self.beta2).addcmul_(gradients, gradients, value=1 - self.beta2)
        torch.sqrt(self.square, out=self.root)
        self.root.div_(of_root).add_(self.eps)
        torch.mul(self.mean, rate, out=self.step_length)
        self.flat.addcdiv_(self.step_length, self.root, value=-1)

    def state(self, k, parts):
        """The state of the optimizer of one network, as torch keeps it.

        Parameters
        ----------
        k : int
        parts : callable
            Splits a row into tensors of the shapes of the parameters.

        Returns
        -------
        state : list of dict
            One per parameter.
        """
        return [
            {
                "step": torch.tensor(float(self.n_steps), device=self._count_device),
                "exp_avg": mean.clone(),
                "exp_avg_sq": square.clone(),
            }
            for mean, square in zip(parts(self.mean[k]), parts(self.square[k]), strict=True)
        ]


class StackedSGD:
    """Stochastic gradient descent, with momentum as torch defines it.

    Parameters
    ----------
    groups : list of dict
        torch's settings of each network.
    flat : torch.Tensor of float32 of shape (n_networks, n_weights)
        Changed by every step.
    """

    def __init__(self, groups, flat):
        self.flat = flat
        first = groups[0]
        self.momentum, self.nesterov = first["momentum"], first["nesterov"]
        self.dampening = first["dampening"]
        self.decay = flat.new_tensor([group["weight_decay"] for group in groups]).unsqueeze(1)
        self.velocity: torch.Tensor | None = None
        self.rate = torch.zeros_like(self.decay)

    def begin_epoch(self, rates):
        """Set the learning rates of the next steps; see :meth:`StackedAdam.begin_epoch`."""
        self.rates = iter(self.flat.new_tensor(rates).unsqueeze(2))

    def advance(self):
        """Go on to the next step."""
        self.rate.copy_(next(self.rates))

    def step(self, gradients):
        """Make the present step; see :meth:`StackedAdam.step`."""
        gradients.addcmul_(self.flat, self.decay)
        if self.momentum:
            if self.velocity is None:
                self.velocity = gradients.clone()
            else:
                self.velocity.mul_(self.momentum).add_(gradients, alpha=1 - self.dampening)
            if self.nesterov:
                gradients.add_(self.velocity, alpha=self.momentum)
            else:
                gradients = self.velocity
        self.flat.addcmul_(gradients, self.rate, value=-1)

    def state(self, k, parts):
        """The state of the optimizer of one network; see :meth:`StackedAdam.state`."""
        row = self.flat[k] if self.velocity is None else self.velocity[k]
        return [
            {"momentum_buffer": None if self.velocity is None else part.clone()}
            for part in parts(row)
        ]


_KINDS = {
    torch.optim.AdamW: lambda groups, flat: StackedAdam(groups, flat, decoupled=True),
    torch.optim.Adam: lambda groups, flat: StackedAdam(
        groups, flat, decoupled=groups[0].get("decoupled_weight_decay", False)
    ),
    torch.optim.SGD: StackedSGD,
}
