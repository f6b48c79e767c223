"""Largest singular values of matrices and of convolutions."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import eigvalsh
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh
from torch.nn import grad

__all__ = ["convolution_norm", "matrix_norm"]

# Up to this size all eigenvalues are computed, above it only the largest one is iterated.
DENSE = 64
# Residual at which the iteration ends. The error of the eigenvalue is about its square.
TOLERANCE = 1e-8


def matrix_norm(matrix: torch.Tensor) -> float:
    """Largest singular value of a matrix.

    It is the root of the largest eigenvalue of the smaller Gram matrix: that costs a fraction
    of a singular value decomposition, and the largest one loses no digits by squaring.

    Parameters
    ----------
    matrix : torch.Tensor of float64 of shape (n_outputs, n_inputs)
        On the CPU.

    Returns
    -------
    norm : float
        NaN if an element is not finite.

    Examples
    --------
    >>> import torch
    >>> from margin_sklearn.scales.singular_values import matrix_norm
    >>> round(matrix_norm(torch.tensor([[3.0, 0.0], [4.0, 0.0]], dtype=torch.float64)), 12)
    5.0
    """
    values = matrix.numpy()
    top = np.abs(values).max(initial=0.0)
    if top == 0 or not np.isfinite(top):
        return 0.0 if top == 0 else float("nan")
    # So that the squares neither overflow nor underflow.
    values = values / top
    gram = values @ values.T if len(values) <= values.shape[1] else values.T @ values
    if len(gram) <= DENSE:
        return float(top * np.sqrt(eigvalsh(gram)[-1]))
    return float(top * np.sqrt(_largest(gram.__matmul__, len(gram), lambda: gram)))


def convolution_norm(convolution: Any, input_shape: tuple[int, ...]) -> float:
    """Largest singular value of a convolution, with its padding and stride.

    Parameters
    ----------
    convolution : torch.nn.Module
        Conv1d, Conv2d or Conv3d of float64, without bias, on the CPU.
    input_shape : tuple of int
        Shape of one input.

    Returns
    -------
    norm : float
        NaN if a weight is not finite.

    Examples
    --------
    >>> import torch
    >>> from margin_sklearn.scales.singular_values import convolution_norm
    >>> mean = torch.nn.Conv1d(1, 1, 2, bias=False, dtype=torch.float64)
    >>> with torch.no_grad():
    ...     _ = mean.weight.fill_(0.5)
    >>> round(convolution_norm(mean, (1, 2)), 12)
    0.707106781187
    """
    weight = convolution.weight.detach()
    if not weight.isfinite().all():
        return float("nan")
    if not weight.any():
        return 0.0
    with torch.no_grad():
        y = convolution(torch.zeros(1, *input_shape, dtype=torch.float64))
    n_inputs, n_outputs = int(np.prod(input_shape)), y.numel()
    forward, adjoint = _maps(convolution, (1, *input_shape), y.shape)
    if n_inputs <= DENSE:
        # Every basis vector is a sample of one batch.
        return matrix_norm(_of_basis(forward, n_inputs, input_shape))
    if n_outputs <= DENSE:
        return matrix_norm(_of_basis(adjoint, n_outputs, tuple(y.shape[1:])))

    def squared(vector: NDArray[np.float64]) -> NDArray[np.float64]:
        x = torch.from_numpy(vector.reshape(1, *input_shape))
        return adjoint(forward(x)).numpy().ravel()

    def gram() -> NDArray[np.float64]:
        rows = _of_basis(forward, n_inputs, input_shape).numpy()
        return rows @ rows.T

    return float(np.sqrt(_largest(squared, n_inputs, gram)))


def _of_basis(
    function: Callable[[torch.Tensor], torch.Tensor], n: int, shape: tuple[int, ...]
) -> torch.Tensor:
    return function(torch.eye(n, dtype=torch.float64).reshape(n, *shape)).reshape(n, -1)


def _maps(convolution: Any, in_shape: Any, out_shape: Any) -> tuple[Any, Any]:
    """The convolution and its transpose, as functions of batches."""

    def forward(x: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return convolution(x)

    weight = convolution.weight.detach()
    plain = convolution.padding_mode == "zeros" and not isinstance(convolution.padding, str)
    dimension = len(in_shape) - 2
    input_gradient: Any = getattr(grad, f"conv{dimension}d_input")

    def adjoint(y: torch.Tensor) -> torch.Tensor:
        shape = (len(y), *in_shape[1:])
        if plain:
            # Without the overhead of a graph; there is one iteration per call.
            return input_gradient(
                shape,
                weight,
                y,
                convolution.stride,
                convolution.padding,
                convolution.dilation,
                convolution.groups,
            )
        x = torch.zeros(shape, dtype=torch.float64, requires_grad=True)
        with torch.enable_grad():
            return torch.autograd.grad(convolution(x), x, y)[0]

    return forward, adjoint


def _largest(multiply: Any, n: int, matrix: Callable[[], NDArray[np.float64]]) -> float:
    """Largest eigenvalue of a positive semidefinite matrix, by Lanczos iteration."""
    operator = LinearOperator((n, n), matvec=multiply, dtype=np.float64)
    start = np.random.default_rng(0).standard_normal(n)
    try:
        found = eigsh(operator, k=1, v0=start, tol=TOLERANCE, return_eigenvectors=False)[0]
    except ArpackNoConvergence:
        found = eigvalsh(matrix())[-1]
    return max(float(found), 0.0)
