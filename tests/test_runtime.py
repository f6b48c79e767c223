import pytest
import torch

from margin_sklearn.runtime import generator_state, resolve_device, seeded, torch_threads

CPU = torch.device("cpu")


def test_a_seeded_block_starts_its_own_stream_and_gives_the_old_one_back():
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    with seeded(CPU, seed=11):
        inside = torch.rand(2)
    assert torch.equal(torch.rand(2), expected)
    torch.manual_seed(11)
    assert torch.equal(torch.rand(2), inside)


def test_a_stream_can_be_continued():
    with seeded(CPU, seed=1):
        whole = torch.rand(4)
    with seeded(CPU, seed=1):
        first = torch.rand(2)
        state = generator_state(CPU)
    with seeded(CPU, state=state):
        second = torch.rand(2)
    assert torch.equal(torch.cat([first, second]), whole)


def test_generators_come_back_after_an_error():
    torch.manual_seed(3)
    before = torch.get_rng_state()
    try:
        with seeded(CPU, seed=1):
            torch.rand(1)
            raise RuntimeError
    except RuntimeError:
        pass
    assert torch.equal(torch.get_rng_state(), before)


def test_threads_are_put_back():
    torch.set_num_threads(2)
    with torch_threads(1):
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 2
    with torch_threads(None):
        assert torch.get_num_threads() == 2


def test_auto_takes_the_best_device_there_is(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert resolve_device("auto").type == "cuda"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert resolve_device("auto").type == "mps"
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert resolve_device("auto").type == "cpu"
    with pytest.raises(ValueError, match="cuda:1.*no CUDA"):
        resolve_device("cuda:1")
    with pytest.raises(ValueError, match="'gpu'"):
        resolve_device("gpu")
