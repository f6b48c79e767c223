"""Damaged, foreign and newer files: a clear error, no crash, nothing of them executed."""

import os
import pickle
import stat
import warnings

import joblib
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from sklearn.exceptions import InconsistentVersionWarning
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from margin_sklearn import MarginClassifier, load, save
from margin_sklearn.persistence import archive
from margin_sklearn.persistence.archive import packed, unpacked
from margin_sklearn.storage.files import write_atomically


@pytest.fixture(scope="module")
def content(iris, tmp_path_factory):
    path = tmp_path_factory.mktemp("files") / "model"
    model = MarginClassifier(max_epochs=2, module__hidden_layer_sizes=(4,), random_state=0)
    save(make_pipeline(StandardScaler(), model).fit(*iris), path)
    return path.read_bytes()


def mutated(content, random):
    """The content with some bytes changed, cut, repeated or moved."""
    data, kind = bytearray(content), random.integers(5)
    place, n = int(random.integers(len(data))), int(2 ** random.uniform(0, 10))
    # Half of the changes within the header, where it matters most.
    if random.random() < 0.5:
        place %= 8 + int.from_bytes(data[:8], "little")
    if kind == 0:
        data[place] ^= 1 << int(random.integers(8))
    elif kind == 1:
        data[place : place + n] = random.bytes(n)
    elif kind == 2:
        del data[place : place + n]
    elif kind == 3:
        data[place:place] = data[place : place + n]
    else:
        data = data[:place]
    return bytes(data)


def check_mutations(content, path, seeds):
    for seed in seeds:
        data = mutated(content, np.random.default_rng(seed))
        if data == content:
            continue
        path.write_bytes(data)
        with pytest.raises(ValueError, match="cannot be loaded"):
            load(path)


def test_mutated_files(content, tmp_path):
    check_mutations(content, tmp_path / "model", range(100))


@pytest.mark.soak
def test_many_mutated_files(content, tmp_path):
    check_mutations(content, tmp_path / "model", range(100, 1100))


def changed_somewhere(node, random):
    """A JSON document in which one node was replaced by another or left out."""
    values = [None, -1, 2**70, "", "x", [], {}, {"list": [1]}, float("nan"), True]
    value = values[int(random.integers(len(values)))]
    if isinstance(node, dict | list) and node and random.random() < 0.9:
        keys = [*node] if isinstance(node, dict) else range(len(node))
        key = keys[int(random.integers(len(keys)))]
        changed = dict(node) if isinstance(node, dict) else [*node]
        if random.random() < 0.1:
            del changed[key]
        else:
            changed[key] = changed_somewhere(node[key], random)
        return changed
    return value


def check_changed_documents(content, path, seeds):
    """With a checksum that is right: an error with a reason, or an estimator."""
    document, tensors = unpacked(content)
    refused, loaded = 0, 0
    for seed in seeds:
        random = np.random.default_rng(seed)
        path.write_bytes(packed(changed_somewhere(document, random), tensors))
        with warnings.catch_warnings():
            # The versions may be what was changed.
            warnings.simplefilter("ignore", InconsistentVersionWarning)
            try:
                load(path)
            except ValueError as error:
                refused += str(path) in str(error)
            else:
                loaded += 1
    assert refused + loaded == len(seeds)
    return refused


def test_changed_documents(content, tmp_path):
    assert check_changed_documents(content, tmp_path / "model", range(100)) > 50


@pytest.mark.soak
def test_many_changed_documents(content, tmp_path):
    assert check_changed_documents(content, tmp_path / "model", range(100, 1100)) > 500


class Exploit:
    def __reduce__(self):
        return (pytest.fail, ("the pickle was executed",))


@pytest.mark.parametrize(
    "write",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_text("{}"),
        lambda path: path.write_bytes(bytes(range(256)) * 9),
        lambda path: path.write_bytes(pickle.dumps(Exploit())),
        lambda path: joblib.dump(Exploit(), path),
        lambda path: torch.save({"a": torch.zeros(2)}, path),
        lambda path: write_atomically(path, lambda file: np.savez(file, a=np.zeros(2))),
        lambda path: path.write_bytes((2**63).to_bytes(8, "little") + b"{}"),
        lambda path: path.write_bytes((2).to_bytes(8, "little") + b"[]"),
        lambda path: path.write_bytes((40000).to_bytes(8, "little") + b"[" * 40000),
        lambda path: path.write_bytes(
            (64).to_bytes(8, "little") + b'{"__metadata__": {"margin_sklearn": 1}}'.ljust(64)
        ),
    ],
)  # fmt: skip
def test_foreign_files(write, tmp_path):
    path = tmp_path / "model"
    write(path)
    with pytest.raises(ValueError, match=r"model' cannot be loaded: "):
        load(path)


def test_weights_of_another_program(tmp_path):
    path = tmp_path / "weights.safetensors"
    save_file({"a": torch.zeros(2)}, path)
    with pytest.raises(ValueError, match="a safetensors file of another program"):
        load(path)


def test_a_newer_format(content, tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "FORMAT", 2)
    (tmp_path / "model").write_bytes(packed(*unpacked(content)))
    monkeypatch.undo()
    with pytest.raises(ValueError, match="format 2 by a newer margin_sklearn"):
        load(tmp_path / "model")


@pytest.mark.parametrize("library", ["margin-sklearn", "scikit-learn", "skorch"])
def test_another_version_warns(library, content, tmp_path):
    document, tensors = unpacked(content)
    document["versions"][library] = "0.0.1"
    (tmp_path / "model").write_bytes(packed(document, tensors))
    with pytest.warns(
        InconsistentVersionWarning, match=rf"Pipeline was stored with {library} 0\.0\.1"
    ):
        load(tmp_path / "model")


def test_folders_and_missing_files(content, tmp_path):
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "missing")
    with pytest.raises(OSError, match="directory"):
        load(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"no such folder: .*model'$"):
        save(MarginClassifier(), tmp_path / "no folder" / "model")


def small(**params):
    return MarginClassifier(**{"max_epochs": 7, **params})


def test_the_home_folder_is_expanded(tmp_path, monkeypatch):
    """As in memory= and checkpoint=."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    save(small(), "~/model")
    assert (tmp_path / "model").exists()
    assert load("~/model").max_epochs == 7


@pytest.mark.parametrize("exists", [True, False])
def test_a_link_goes_on_pointing_to_the_file(exists, tmp_path):
    (tmp_path / "folder").mkdir()
    target, link = tmp_path / "folder" / "model", tmp_path / "latest"
    if exists:
        target.write_text("earlier")
    link.symlink_to(target)
    save(small(), link)
    assert link.is_symlink()
    assert load(target).max_epochs == 7
    assert len([*tmp_path.rglob("*")]) == 3


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs POSIX")
def test_only_files_are_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for name, error in (("pipe", "Not a file"), ("folder", "directory"), ("loop", "levels")):
        with pytest.raises(OSError, match=error):
            save(small(), tmp_path / name)
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)
    assert (tmp_path / "loop").is_symlink()
    assert len([*tmp_path.iterdir()]) == 3


@pytest.mark.skipif(os.name != "posix", reason="needs permissions of POSIX")
@pytest.mark.parametrize("mode", [0o600, 0o664])
def test_a_file_keeps_its_permissions(mode, tmp_path):
    path = tmp_path / "model"
    path.write_text("earlier")
    path.chmod(mode)
    save(small(), path)
    assert stat.S_IMODE(path.stat().st_mode) == mode
