"""Time per network of training several as one, relative to ordinary fits.

    python benchmarks/stack_speed.py [--quick]

CPU time of one thread, fits of three epochs on 1,024 samples in four classes: K networks with
learning rates of their own, over one ordinary fit. The rule of ``stack="auto"``
(``margin_sklearn/training/stack_size.py``) was chosen from this table: how many networks to
train as one, and up to which size.
"""

import argparse
import time

import numpy as np
import torch
from torch import nn

from margin_sklearn import ConvNet, MarginClassifier
from margin_sklearn.classifier.together import Fit, fit_together


class Residual(nn.Module):
    """A module that only torch.func can stack."""

    def __init__(self, input_shape, n_classes, width=64):
        super().__init__()
        self.first, self.second = nn.Linear(*input_shape, width), nn.Linear(width, width)
        self.norm, self.last = nn.BatchNorm1d(width), nn.Linear(width, n_classes)

    def forward(self, x):
        h = self.first(x)
        return self.last(h + torch.relu(self.second(self.norm(h))))


def mlp(*hidden, **settings):
    return {"module__hidden_layer_sizes": hidden, "module__embeddings": None, **{
        f"module__{name}": value for name, value in settings.items()
    }}  # fmt: skip


CASES = [
    ((20,), 32, mlp(32, 32)),
    ((20,), 64, mlp(32, 32)),
    ((20,), 32, mlp(64, 64)),
    ((20,), 64, mlp(64, 64)),
    ((20,), 128, mlp(64, 64)),
    ((20,), 64, mlp(64, 64, embeddings="periodic")),
    ((20,), 64, mlp(64, 64, dropout=0.2)),
    ((64,), 64, mlp(128, 64)),
    ((100,), 64, mlp(256, 128)),
    ((784,), 64, mlp(128)),
    ((784,), 128, mlp(256)),
    ((784,), 128, mlp(512, 512)),
    ((20,), 64, {"module": Residual, "module__width": 32}),
    ((20,), 64, {"module": Residual, "module__width": 64}),
    ((100,), 64, {"module": Residual, "module__width": 256}),
    ((8, 8), 64, {"module": ConvNet, "module__channels": (8, 16)}),
    ((28, 28), 64, {"module": ConvNet, "module__channels": (16, 32)}),
]


def seconds(function):
    start = time.process_time()
    function()
    return time.process_time() - start


def measure(shape, batch_size, settings, numbers):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(1024, *shape)).astype(np.float32), rng.integers(0, 4, 1024)

    def fits(n):
        return [
            Fit(
                MarginClassifier(
                    lr=lr, max_epochs=3, batch_size=batch_size, random_state=seed,
                    device="cpu", **settings,
                ),
                X,
                y,
            )
            for seed, lr in enumerate(np.geomspace(1e-3, 3e-2, n))
        ]  # fmt: skip

    fit_together(fits(1))
    one = min(seconds(lambda: fit_together(fits(1))) for _ in range(3))
    found = {}
    for n in numbers:
        found[n] = min(seconds(lambda n=n: fit_together(fits(n))) for _ in range(2)) / n / one
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="two cases")
    options = parser.parse_args()
    torch.set_num_threads(1)
    for shape, batch_size, settings in CASES[:2] if options.quick else CASES:
        numbers = (
            (2, 4, 8, 16) if "module" in settings or shape[0] > 200 else (2, 4, 8, 16, 32)
        )
        found = measure(shape, batch_size, settings, numbers)
        shown = "  ".join(f"K={n} {ratio:.2f}" for n, ratio in found.items())
        print(f"{shape}, batches of {batch_size}, {settings}:  {shown}", flush=True)


if __name__ == "__main__":
    main()
