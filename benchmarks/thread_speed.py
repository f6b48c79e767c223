"""Do threads make fits faster? Four fits one after the other, and in two threads.

    python benchmarks/thread_speed.py

Prints the wall time in two threads relative to one thread, median and range of several
repetitions, for networks of three sizes on made-up data. Each pair is timed together.
Networks of the last size take more than 2 GFLOP per step: each uses all threads of torch.
"""

import argparse
import os
import time

import joblib
import numpy as np
from sklearn.datasets import make_classification

from margin_sklearn import MarginClassifier

SIZES = {(64, 64): 64, (256, 256): 256, (1024, 1024): 256}


def seconds(function):
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--repetitions", type=int, default=5)
    arguments = parser.parse_args()
    X, y = make_classification(4000, 100, n_informative=20, random_state=0)
    print(f"{os.cpu_count()} processors")
    for hidden, batch_size in SIZES.items():

        def fit(seed, hidden=hidden, batch_size=batch_size):
            MarginClassifier(
                module__hidden_layer_sizes=hidden,
                batch_size=batch_size,
                max_epochs=4,
                random_state=seed,
                device="cpu",
            ).fit(X, y)

        def serial(fit=fit):
            for seed in range(4):
                fit(seed)

        def threads(fit=fit):
            joblib.Parallel(2, backend="threading")(joblib.delayed(fit)(i) for i in range(4))

        fit(0)
        found = [seconds(threads) / seconds(serial) for _ in range(arguments.repetitions)]
        print(
            f"{hidden}, batches of {batch_size}: {np.median(found):.2f} "
            f"({min(found):.2f} to {max(found):.2f})"
        )


if __name__ == "__main__":
    main()
