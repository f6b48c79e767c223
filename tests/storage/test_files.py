"""Files that are complete or not there."""

import numpy as np
import pytest

from margin_sklearn.storage.files import (
    DAMAGED,
    read_arrays,
    write_arrays,
    write_atomically,
)


@pytest.mark.parametrize("durable", [False, True])
def test_arrays_and_the_rest_are_read_as_written(tmp_path, durable):
    path = tmp_path / "state.npz"
    arrays = {"a": np.arange(3.0), "b": np.array([["x", "yz"]])}
    write_arrays(path, arrays, {"epoch": 3, "rows": [None, "ü"]}, durable=durable)
    found, others = read_arrays(path)
    assert others == {"epoch": 3, "rows": [None, "ü"]}
    assert {*found} == {*arrays}
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype


def test_a_failed_write_leaves_the_earlier_file(tmp_path):
    path = tmp_path / "state"
    write_atomically(path, lambda file: file.write(b"first"))

    def fill(file):
        file.write(b"sec")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, fill)
    assert path.read_bytes() == b"first"
    assert [*tmp_path.iterdir()] == [path]


def test_pickled_arrays_are_neither_written_nor_read(tmp_path):
    path = tmp_path / "state.npz"
    np.savez(path, json=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match="allow_pickle"):
        read_arrays(path)


@pytest.mark.parametrize("keep", [0, 1, 10, 100, 200])
def test_a_truncated_file_is_recognised(tmp_path, keep):
    path = tmp_path / "state.npz"
    write_arrays(path, {"a": np.arange(100)}, {})
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(DAMAGED):
        read_arrays(path)
