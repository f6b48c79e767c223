"""Large data: memory beyond the data, and time; and whether memory grows with use.

    python benchmarks/size.py [SECTION ...] [--quick]

Sections: ``rows`` (1,000,000 x 50 from a memory map), ``more_rows`` (2,000,000 x 50, one
epoch), ``sparse`` (200,000 x 50,000), ``classes`` (5,000 of them), ``candidates`` (2,000 in a
MarginSearchCV) and ``leaks`` (200 fits and scores); all of them without an argument. Each runs
in a process of its own, with one thread on the CPU.

*memory* is the largest amount that a step had allocated at once, beyond what the process had
before it: pages of a memory map do not count. It is measured every 5 ms, Linux only. Writes
``results/size.csv``, where the other sections are kept; ``--quick`` takes a hundredth of the
rows and candidates, and only prints.
"""

import argparse
import csv
import gc
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import scipy.sparse
import torch

from margin_sklearn import MLP, MarginClassifier, MarginSearchCV, margin_auc_score
from margin_sklearn.neighborhoods import clear_cache

RESULTS = Path(__file__).parent / "results" / "size.csv"
HEADER = ["section", "step", "seconds", "memory_MB", "data_MB", "note"]


def megabytes():
    """Memory of this process that is not a file's."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("/proc/self/status has no RssAnon: this needs Linux.")


class Table:
    """Prints a row for each step."""

    def __init__(self, section, data_megabytes):
        self.section, self.data = section, data_megabytes

    @contextmanager
    def step(self, name, note="", per=1):
        """Time and memory of a block; its time is divided by ``per``."""
        gc.collect()
        before, peak, done = megabytes(), megabytes(), threading.Event()

        def watch():
            nonlocal peak
            while not done.wait(0.005):
                peak = max(peak, megabytes())

        thread = threading.Thread(target=watch)
        thread.start()
        start = time.perf_counter()
        try:
            yield
        finally:
            seconds = time.perf_counter() - start
            done.set()
            thread.join()
        self.row(name, seconds / per, max(peak, megabytes()) - before, note)

    def row(self, name, seconds, memory, note=""):
        values = [self.section, name, seconds, memory, self.data, note]
        print(json.dumps(values), flush=True)


def classifier(epochs, **settings):
    return MarginClassifier(max_epochs=epochs, random_state=0, device="cpu", **settings)


def warm_up():
    """Import and allocate what any first fit and score do."""
    X = np.random.default_rng(0).standard_normal((200, 5), dtype=np.float32)
    margin_auc_score(classifier(1).fit(X, X[:, 0] > 0), X, X[:, 0] > 0)


def in_a_file(folder, n):
    """An (n, 50) float32 array in a file, and labels that depend on it."""
    path, rng = Path(folder) / "X.npy", np.random.default_rng(0)
    X = np.lib.format.open_memmap(path, "w+", np.float32, (n, 50))
    mixing = rng.standard_normal((10, 50), dtype=np.float32)
    y = np.empty(n, np.int8)
    for start in range(0, n, 50_000):
        rows = slice(start, min(n, start + 50_000))
        hidden = rng.standard_normal((rows.stop - rows.start, 10), dtype=np.float32)
        noise = rng.standard_normal((len(hidden), 50), dtype=np.float32)
        X[rows] = hidden @ mixing + 0.1 * noise
        y[rows] = hidden[:, :3].sum(axis=1) > 0
    X.flush()
    return np.load(path, mmap_mode="r"), y


def rows(share):
    with tempfile.TemporaryDirectory() as folder:
        X, y = in_a_file(folder, int(1_000_000 * share))
        table = Table("rows", X.nbytes / 2**20)
        model = classifier(2)
        with table.step("fit", "per epoch, of 2", per=2):
            model.fit(X, y)
        with table.step("predict"):
            model.predict(X)
        with table.step("margin_auc_score"):
            margin_auc_score(model, X, y)
        with table.step("margin_auc_score again"):
            margin_auc_score(model, X, y)


def more_rows(share):
    with tempfile.TemporaryDirectory() as folder:
        X, y = in_a_file(folder, int(2_000_000 * share))
        table = Table("more_rows", X.nbytes / 2**20)
        with table.step("fit", "1 epoch"):
            classifier(1).fit(X, y)


def sparse(share):
    n, rng = int(200_000 * share), np.random.default_rng(0)
    # Texts of 500 topics, each with 200 words of its own, of which a text has about 45.
    topic, own = rng.integers(0, 500, n), rng.integers(0, 50_000, (500, 200))
    columns = own[topic[:, None], rng.integers(0, 200, (n, 50))]
    X = scipy.sparse.csr_matrix(
        (
            np.ones(columns.size, np.float32),
            columns.ravel(),
            np.arange(0, columns.size + 1, 50),
        ),
        (n, 50_000),
    )
    X.sum_duplicates()
    y = topic % 2
    data = X.data.nbytes + X.indices.nbytes + X.indptr.nbytes
    table = Table("sparse", data / 2**20)
    model = classifier(1, module=MLP, module__hidden_layer_sizes=(32,))
    with table.step("fit", "1 epoch, 32 hidden units"):
        model.fit(X, y)
    with table.step("predict"):
        model.predict(X)
    with table.step("margin_auc_score"):
        margin_auc_score(model, X, y)


def classes(share):
    n, rng = int(100_000 * share), np.random.default_rng(0)
    n_classes = min(5_000, n // 4)
    y = np.arange(n) % n_classes
    hidden = 2 * rng.standard_normal((n_classes, 10), dtype=np.float32)[y]
    hidden += rng.standard_normal((n, 10), dtype=np.float32)
    X = hidden @ rng.standard_normal((10, 50), dtype=np.float32)
    table = Table("classes", X.nbytes / 2**20)
    model = classifier(1)
    with table.step("fit", f"1 epoch, {n:,} x 50"):
        model.fit(X, y)
    with table.step("predict"):
        model.predict(X)
    with table.step("margin_auc_score"):
        margin_auc_score(model, X, y)


def candidates(share):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((200, 10), dtype=np.float32)
    y = X[:, 0] > 0
    table = Table("candidates", X.nbytes / 2**20)
    model = classifier(1, module=MLP, module__hidden_layer_sizes=(16,))
    for stack in (False, "auto"):
        for n in (200, int(2_000 * share) or 20):
            rates = np.geomspace(1e-4, 1e-1, n).tolist()
            search = MarginSearchCV(model, {"lr": rates}, stack=stack)
            start = time.perf_counter()
            note = f"stack={stack!r}, per candidate"
            with table.step(f"search, {n:,} candidates", note, per=n):
                search.fit(X, y)
            seconds = time.perf_counter() - start
            found = search.cv_results_
            folds = 1 + np.where(found["shortlisted"], search.n_splits_, 0)
            own = ((found["mean_fit_time"] + found["mean_score_time"]) * folds).sum()
            table.row(
                f"search, {n:,} candidates", (seconds - own) / n, 0, "outside fit, score"
            )
            del search, found


def leaks(share):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((2_000, 20), dtype=np.float32)
    y = X[:, 0] > 0
    table = Table("leaks", X.nbytes / 2**20)
    n = int(200 * share) or 20
    for what, move, clears in (
        ("the same samples", 0, False),
        ("other samples each, cache cleared", 1, True),
        ("other samples each, cache kept", 1, False),
    ):
        clear_cache()
        for number in range(n + 20):
            if number == 20:
                gc.collect()
                before, files = megabytes(), len(os.listdir("/proc/self/fd"))
            data = X + move * number
            margin_auc_score(classifier(2).fit(data, y), data, y)
            if clears:
                clear_cache()
        gc.collect()
        growth = megabytes() - before
        left = len(os.listdir("/proc/self/fd")) - files
        note = f"from {before:.0f} MB, {growth / before:.1%}; open files: {left} more"
        table.row(f"{n} fits, {what}", 0, growth, note)


SECTIONS = {
    part.__name__: part for part in (rows, more_rows, sparse, classes, candidates, leaks)
}


def in_own_process(section, share):
    command = [sys.executable, __file__, section, "--child", str(share)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=environment)
    found = [json.loads(line) for line in process.stdout.splitlines()]
    if process.returncode:
        found.append([section, "failed", 0, 0, 0, f"exit status {process.returncode}"])
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("sections", nargs="*", choices=[*SECTIONS, []], metavar="SECTION")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--child", type=float, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        torch.set_num_threads(1)
        warm_up()
        SECTIONS[options.sections[0]](options.child)
        return
    kept = []
    for section in options.sections or SECTIONS:
        found = in_own_process(section, 0.01 if options.quick else 1.0)
        for _, step, seconds, memory, data, note in found:
            print(
                f"{section:12}{step:56}{seconds:10.4g} s {memory:8.1f} MB "
                f"(data {data:7.1f} MB)  {note}",
                flush=True,
            )
        kept += found
    if options.quick:
        return
    if RESULTS.exists():
        with RESULTS.open(newline="") as file:
            earlier = list(csv.reader(file))[1:]
        new = {row[0] for row in kept}
        kept = [row for row in earlier if row[0] not in new] + kept
    kept.sort(key=lambda row: [*SECTIONS].index(row[0]))
    with RESULTS.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(HEADER)
        writer.writerows(
            [f"{value:.4g}" if isinstance(value, float) else value for value in row]
            for row in kept
        )


if __name__ == "__main__":
    main()
