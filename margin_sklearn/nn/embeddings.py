"""Numerical embeddings: smooth functions of each column, before the first layer."""

import math

import torch
from torch import nn

__all__ = ["PeriodicEmbedding"]


class PeriodicEmbedding(nn.Module):
    r"""Each column, with several learned periodic functions of it beside it.

    For column :math:`j`, the output holds :math:`x_j` and, for :math:`o = 1 \dots O`,

    .. math:: z_{jo} = c_{jo} + \sum_{k=1}^{K} v_{jko} \cos(\omega_{jk} x_j + b_{jk}).

    The weights :math:`v` and :math:`c` are learned; the frequencies :math:`\omega` and the
    phases :math:`b` are drawn at random and stay, which is as accurate and saves half of the
    time. Plain MLPs learn functions that change fast along one column
    only slowly; with such embeddings they do better on tables (Gorishniy, Rubachev and Babenko
    2022, arXiv 2203.05556). This form, with phases, few outputs and the column itself, follows
    Holzmüller, Grinsztajn and Steinwart 2024 (arXiv 2407.04491).

    Parameters
    ----------
    n_columns : int
        Number of columns of the input.
    n_frequencies : int, default=16
        :math:`K`.
    n_outputs : int, default=4
        :math:`O`.
    spread : float, default=0.1
        Standard deviation of :math:`\omega / 2\pi`, for columns of unit variance.

    Attributes
    ----------
    n_features : int
        Number of numbers per sample in the output, ``n_columns * (n_outputs + 1)``: first the
        columns, then the functions of each column.

    Examples
    --------
    >>> import torch
    >>> from margin_sklearn.nn import PeriodicEmbedding
    >>> embedding = PeriodicEmbedding(3, n_outputs=2)
    >>> embedding(torch.zeros(5, 3)).shape
    torch.Size([5, 9])
    """

    frequency: torch.Tensor
    phase: torch.Tensor

    def __init__(
        self, n_columns: int, n_frequencies: int = 16, n_outputs: int = 4, spread: float = 0.1
    ) -> None:
        super().__init__()
        self.n_features = n_columns * (n_outputs + 1)
        omega = 2 * math.pi * spread * torch.randn(n_columns, n_frequencies, 1)
        self.register_buffer("frequency", omega)
        phase = math.pi * (2 * torch.rand(n_columns, n_frequencies, 1) - 1)
        self.register_buffer("phase", phase)
        bound = n_frequencies**-0.5
        weight = bound * (2 * torch.rand(n_columns, n_outputs, n_frequencies) - 1)
        self.weight = nn.Parameter(weight)
        self.bias = nn.Parameter(bound * (2 * torch.rand(n_columns, n_outputs, 1) - 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Embed the columns.

        Parameters
        ----------
        x : torch.Tensor of shape (n_samples, n_columns)

        Returns
        -------
        features : torch.Tensor of shape (n_samples, n_features)
        """
        # Samples last, which is several times faster: products and sums run along them.
        columns = x.t().contiguous()
        waves = torch.cos(torch.addcmul(self.phase, columns.unsqueeze(1), self.frequency))
        functions = torch.baddbmm(self.bias, self.weight, waves)
        return torch.cat([columns, functions.flatten(0, 1)]).t()

    def slopes(self, power: int = 1) -> torch.Tensor:
        r"""Bounds on the slopes of the outputs: the embedding as a linear layer, for norms.

        Parameters
        ----------
        power : int, default=1
            1 for :math:`\sum_k |v_{jko} \omega_{jk}|`, the bound on the slope of an output; 2
            for :math:`\sqrt{\sum_k (v_{jko} \omega_{jk})^2}`, the root of the sum over paths.

        Returns
        -------
        matrix : torch.Tensor of float64 of shape (n_features, n_columns)
            On the CPU.
        """
        omega, weight = (
            part.detach().to("cpu", torch.float64) for part in (self.frequency, self.weight)
        )
        steepest = (omega.transpose(1, 2) * weight).abs().pow(power).sum(2).pow(1 / power)
        n_columns = len(steepest)
        matrix = torch.block_diag(*steepest.unsqueeze(2))
        return torch.cat([torch.eye(n_columns, dtype=torch.float64), matrix])
