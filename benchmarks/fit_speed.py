"""Time of MarginClassifier.fit relative to a hand-written PyTorch loop with the same steps.

    python benchmarks/fit_speed.py [--device cuda] [--repeats 9] [--case a b c]

Everything runs in one process with one CPU thread. Each repeat runs the contestants one after
the other and gives one ratio each, so a temporary slowdown of the machine does not distort the
result. Printed: the median, smallest and largest ratio.
"""

import argparse
import gc
import platform
import time
import warnings

import numpy as np
import torch
from sklearn.datasets import load_digits, make_classification
from sklearn.neural_network import MLPClassifier
from skorch import NeuralNetClassifier
from skorch.callbacks import LRScheduler
from threadpoolctl import threadpool_limits

from margin_sklearn import MLP, ConvNet, MarginClassifier

CASES = {
    "a": "2,000 x 20, MLP 64-64, batch 128, 20 epochs",
    "b": "20,000 x 100, MLP 256-256, batch 256, 5 epochs",
    "c": "digits as images, ConvNet 16-32, batch 64, 10 epochs",
}


def make_case(case):
    """(X, y, module class, module settings, batch size, epochs)"""
    if case == "c":
        X, y = load_digits(return_X_y=True)
        X = (X / 16).astype(np.float32).reshape(-1, 8, 8)
        return X, y, ConvNet, {"channels": (16, 32)}, 64, 10
    n, d, widths, batch, epochs = {
        "a": (2_000, 20, (64, 64), 128, 20),
        "b": (20_000, 100, (256, 256), 256, 5),
    }[case]
    X, y = make_classification(
        n, d, n_informative=d // 2, n_classes=4, random_state=0, flip_y=0.0
    )
    return X.astype(np.float32), y, MLP, {"hidden_layer_sizes": widths}, batch, epochs


def by_hand(X, y, module_class, settings, batch, epochs, device):
    """A loop written by hand: tensors on the device, indexed by a permutation.

    With the same fused optimizer and the same schedule, stepped after every batch.
    """
    X = torch.from_numpy(X).to(device)
    y = torch.from_numpy(y).to(device)
    module = module_class(tuple(X.shape[1:]), int(y.max()) + 1, **settings).to(device)
    optimizer = torch.optim.AdamW(module.parameters(), lr=1e-2, weight_decay=1e-2, fused=True)
    n_steps = epochs * -(-len(X) // batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, 1e-2, total_steps=n_steps + 1, cycle_momentum=False
    )
    criterion = torch.nn.CrossEntropyLoss(label_smoothing=0.1)
    for _ in range(epochs):
        module.train()
        total = torch.zeros((), device=device)
        order = torch.randperm(len(X), device=device)
        for start in range(0, len(X), batch):
            rows = order[start : start + batch]
            optimizer.zero_grad()
            loss = criterion(module(X[rows]), y[rows])
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.detach() * len(rows)
        total.item()


def ours(X, y, module_class, settings, batch, epochs, device):
    MarginClassifier(
        module_class,
        optimizer="adamw",
        lr=1e-2,
        lr_schedule="one_cycle",
        weight_decay=1e-2,
        batch_size=batch,
        max_epochs=epochs,
        device=device,
        random_state=0,
        **{f"module__{name}": value for name, value in settings.items()},
    ).fit(X, y)


def plain_skorch(X, y, module_class, settings, batch, epochs, device):
    NeuralNetClassifier(
        module_class,
        module__input_shape=X.shape[1:],
        module__n_classes=int(y.max()) + 1,
        criterion=torch.nn.CrossEntropyLoss,
        criterion__label_smoothing=0.1,
        optimizer=torch.optim.AdamW,
        optimizer__weight_decay=1e-2,
        optimizer__fused=True,
        lr=1e-2,
        callbacks=[
            LRScheduler(
                torch.optim.lr_scheduler.OneCycleLR,
                step_every="batch",
                max_lr=1e-2,
                total_steps=epochs * -(-len(X) // batch) + 1,
                cycle_momentum=False,
            )
        ],
        batch_size=batch,
        max_epochs=epochs,
        iterator_train__shuffle=True,
        train_split=None,
        verbose=0,
        device=device,
        **{f"module__{name}": value for name, value in settings.items()},
    ).fit(X, y)


def sklearn_mlp(X, y, module_class, settings, batch, epochs, device):
    MLPClassifier(
        settings["hidden_layer_sizes"], batch_size=batch, max_iter=epochs, tol=0.0
    ).fit(X, y)


def seconds(function, *arguments):
    gc.collect()
    start = time.perf_counter()
    function(*arguments)
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--case", nargs="+", default=list(CASES), choices=list(CASES))
    options = parser.parse_args()
    torch.set_num_threads(1)
    threadpool_limits(1)
    warnings.filterwarnings("ignore", module="sklearn.neural_network")
    card = torch.cuda.get_device_name() if options.device.startswith("cuda") else "CPU"
    print(f"torch {torch.__version__}, {card}, {platform.machine()}, one thread")
    print("time of fit / time of the hand-written loop: median [min, max]\n")
    for case in options.case:
        arguments = (*make_case(case), options.device)
        contestants = {"MarginClassifier": ours, "skorch as it comes": plain_skorch}
        if case != "c":
            contestants["MLPClassifier (CPU)"] = sklearn_mlp
        ratios = {name: [] for name in contestants}
        by_hand(*arguments)
        for function in contestants.values():
            function(*arguments)
        for _ in range(options.repeats):
            # Each contestant is compared with the mean of the loops before and after it.
            for name, function in contestants.items():
                before = seconds(by_hand, *arguments)
                own = seconds(function, *arguments)
                after = seconds(by_hand, *arguments)
                ratios[name].append(own / ((before + after) / 2))
        print(f"({case}) {CASES[case]}")
        for name, values in ratios.items():
            print(
                f"    {name:20s} {np.median(values):5.2f} "
                f"[{min(values):.2f}, {max(values):.2f}]"
            )


if __name__ == "__main__":
    main()
