"""Checkpoints: the state of a training every few epochs, to resume it after a kill."""

import contextlib
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, Any

import torch
from skorch.callbacks import Callback

from ..exceptions import warn_caller
from ..runtime import recording, seeded
from ..storage.files import DAMAGED, read_arrays, write_arrays
from ..storage.hashing import content_hash
from ..storage.tensors import array_of, tensor_of
from .probing import same_outputs, training_outputs
from .state import NetState, with_tensors, without_tensors

try:
    import fcntl
except ImportError:  # Windows: two equal fits at the same time share a folder there
    fcntl = None  # type: ignore[assignment]

__all__ = ["Checkpoint", "training_hash"]

# Functions that tell the state of a part of a training, and that set it.
_Part = tuple[Callable[[], Any], Callable[[Any], Any]]
# So many of the newest files are kept: one may be damaged.
N_KEPT = 2
# Samples whose logits a restored network must give again.
N_COMPARED = 32
# So often a folder may be removed at the moment that it is to be used.
N_TRIES = 100


class Checkpoint(Callback):
    """Writes the state of one training into a folder, and resumes it from there.

    It is called after all other callbacks. A file is either complete or not there. Files hold
    arrays and JSON, nothing pickled.

    Parameters
    ----------
    folder : str or path-like
        The user's folder; created if it does not exist.
    key : str
        Hash of all that the training depends on: the name of the sub-folder. Equal trainings
        that run at the same time have sub-folders of their own in it.
    every : int
        Number of epochs between two files.

    Attributes
    ----------
    seed : int or None
        Of the training to be resumed; None if there is none.
    n_done : int
        Number of epochs that need not be made again.

    Raises
    ------
    ValueError
        If the folder cannot be made or written to.
    """

    def __init__(self, folder: str | os.PathLike[str], key: str, every: int) -> None:
        # Absolute, because the working directory may change during the fit.
        self.folder, self.every = Path(folder).expanduser().absolute(), every
        try:
            self.path, self._lock = _claimed(self.folder / key)
        except (OSError, ValueError) as error:  # ValueError: a NUL character
            raise ValueError(
                f"checkpoint={os.fspath(folder)!r} cannot be a folder for checkpoints: {error}"
            ) from error
        self._found = self._newest()
        self.seed = None if self._found is None else self._found[1].get("seed")
        self.n_done = 0
        self._told = self._closed = False

    def _newest(self) -> tuple[dict[str, torch.Tensor], Any] | None:
        """The newest state that can be read."""
        for path in reversed(self._files()):
            try:
                return _read(path)
            except DAMAGED as error:
                warn_caller(
                    f"The checkpoint {os.fspath(path)!r} is damaged ({error}): training "
                    "resumes from the one before, if there is one."
                )
        return None

    def _files(self) -> list[Path]:
        return sorted(self.path.glob("epoch_*.npz"))

    # --- before training ----------------------------------------------------------------

    def prepare(
        self, run: Any, samples: Any, epochs: int, schedule: Any, watch: Any, stream: Any
    ) -> None:
        """Prepare for a training that is about to start, and see how much of it is done.

        Parameters
        ----------
        run : TrainingRun
        samples : Samples
        epochs : int
        schedule : Schedule or None
        watch : skorch.callbacks.Callback or None
            A further callback with a state.
        stream : GeneratorStream
            Random numbers of the training.
        """
        self._run, self._samples = run, samples
        self._parts = _parts_of(run, samples, schedule, watch, stream)
        self._before = len(run.net.history)
        if self._found is None:
            return
        with recording():
            initial = NetState.copy(run.net, history=True)
            try:
                stopped, n_done = self._restore_net()
            except DAMAGED as error:
                self._found = None
                warn_caller(
                    f"The checkpoint in {os.fspath(self.path)!r} does not fit the network "
                    f"({error}): training starts again."
                )
            else:
                self.n_done = epochs if stopped else n_done
            finally:
                # Until all callbacks have begun as they did before.
                initial.restore(run.net)

    def _restore_net(self) -> tuple[bool, int]:
        """Restore the network; return whether training stopped, and after how many epochs."""
        assert self._found is not None
        tensors, others = self._found
        state = NetState.from_tensors(tensors, others["net"])
        now = NetState.copy(self._run.net, optimizer=False).weights
        if {*state.weights} != {*now}:
            raise ValueError("other parameters")
        if len(with_tensors(others["parts"], tensors)) != len(self._parts):
            raise ValueError("other callbacks")
        state.restore(self._run.net)
        self._run.net.history[:] = state.history
        logits = self._logits(state)
        if not torch.allclose(logits, tensors["logits"], rtol=1e-3, atol=1e-4):
            raise ValueError(
                "it gives other logits, so it keeps something that is neither a parameter nor "
                "a buffer nor in get_extra_state"
            )
        kept = tensors.get("training")
        if kept is not None and not same_outputs(kept, self._training_outputs()):
            raise ValueError(
                "it computes something else in training mode, so the module or the loss keeps "
                "something that is neither a parameter nor a buffer nor in get_extra_state"
            )
        return bool(others["stopped"]), int(others["epoch"]) - self._before

    def _logits(self, state: NetState) -> torch.Tensor:
        """Logits of the network as it is now, which is in this state and stays in it."""
        run = self._run
        x = self._samples.rows(slice(0, N_COMPARED))
        # A module may draw random numbers, which training must not miss.
        with seeded(run.device, 0), torch.no_grad():
            logits = run.net.evaluation_network().module(x)
        if not state.holds(run.net):  # a module may count its calls
            state.restore(run.net)
        return logits.float().cpu()

    def _training_outputs(self) -> torch.Tensor | None:
        x = self._samples.rows(slice(0, N_COMPARED))
        return training_outputs(self._run.net, x)

    # --- during training ----------------------------------------------------------------

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        if self._found is None:
            return
        tensors, others = self._found
        self._restore_net()
        parts = with_tensors(others["parts"], tensors)
        for (_, take_up), state in zip(self._parts, parts, strict=True):
            take_up(state)
        self._found = None

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        if (len(net.history) - self._before) % self.every == 0:
            self.write()

    def write(self) -> None:
        """Write the state of the training as it is now; warn once if that fails."""
        run, net = self._run, self._run.net
        state = NetState.copy(net, history=True)
        try:
            tensors, others = state.to_tensors()
            parts = without_tensors([kept() for kept, _ in self._parts], "parts", tensors)
            arrays = {name: array_of(tensor) for name, tensor in tensors.items()}
        except TypeError as error:
            self._tell(str(error))
            return
        tensors["logits"] = self._logits(state)
        outputs = self._training_outputs()
        if outputs is not None:
            tensors["training"] = outputs
        for name in {"logits", "training"} & {*tensors}:
            arrays[name] = array_of(tensors[name])
        document = {
            "seed": run.seed,
            "epoch": len(net.history),
            "net": others,
            "parts": parts,
            "stopped": run.separation.stopped_,
            "tensors": {
                name: [str(tensor.dtype).removeprefix("torch."), [*tensor.shape]]
                for name, tensor in tensors.items()
            },
        }
        path = self.path / f"epoch_{len(net.history):06}.npz"
        try:
            write_arrays(path, arrays, document, durable=True)
            for old in self._files()[:-N_KEPT]:
                old.unlink(missing_ok=True)
        except OSError as error:
            self._tell(str(error))

    def _tell(self, reason: str) -> None:
        if not self._told:
            self._told = True
            warn_caller(
                f"checkpoint={os.fspath(self.folder)!r} could not be written, so training "
                f"cannot be resumed if it is killed: {reason}"
            )

    # --- after training -----------------------------------------------------------------

    @contextmanager
    def until_finished(self, run: Any) -> Iterator[None]:
        """Remove the checkpoint at the end of the block, unless the training was interrupted.

        It stays after any other error than a ValueError, with which the same training would
        end again.

        Parameters
        ----------
        run : TrainingRun
        """
        keep = True
        try:
            yield
            keep = run.interrupted
        except ValueError:
            keep = False
            raise
        finally:
            self.close(keep)

    def close(self, keep: bool = True) -> None:
        """Let other trainings use the folder.

        Parameters
        ----------
        keep : bool, default=True
            Whether a state that was written is left there.
        """
        if self._closed:
            return
        self._closed = True
        if not keep or not self._files():
            # The states first: without its lock, the folder may be another's.
            for path in self._files():
                path.unlink(missing_ok=True)
            shutil.rmtree(self.path, ignore_errors=True)
            with contextlib.suppress(OSError):  # another training has a folder beside it
                self.path.parent.rmdir()
        if self._lock is not None:
            self._lock.close()


def training_hash(run: Any) -> str:
    """Hash of the state from which a training continues.

    Parameters
    ----------
    run : TrainingRun
    """
    state = NetState.copy(run.net)
    parts = (state.weights, state.optimizer, state.extra, run.order_state, run.generators)
    return content_hash(len(run.net.history), *parts)


def _claimed(folder: Path) -> tuple[Path, IO[bytes] | None]:
    """A sub-folder that no other training uses, and the lock on it, held until it is closed.

    The lock of a process that was killed is released.
    """
    for _ in range(N_TRIES):
        left = [path for path in sorted(folder.glob("*")) if path.is_dir()]
        # Those that were left behind first, then a new one.
        left.sort(key=lambda path: not any(path.glob("epoch_*.npz")))
        for path in [*left, folder / uuid.uuid4().hex]:
            # An equal training that ends at this moment removes both folders.
            with contextlib.suppress(FileNotFoundError):
                path.mkdir(parents=True, exist_ok=True)
                if fcntl is None:
                    return path, None
                lock = _locked(path / "lock")
                if lock is not None:
                    for unfinished in path.glob("*.tmp"):
                        unfinished.unlink(missing_ok=True)
                    return path, lock
    raise FileNotFoundError(f"{os.fspath(folder)!r} is removed again and again")


def _locked(path: Path) -> IO[bytes] | None:
    """A file with a lock on it; None if another training has it."""
    lock = path.open("ab")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Its last user may have removed it in the meantime.
        if os.fstat(lock.fileno()).st_ino == path.stat().st_ino:
            return lock
    except BlockingIOError:
        pass
    except BaseException:
        lock.close()
        raise
    lock.close()
    return None


def _parts_of(run: Any, samples: Any, schedule: Any, watch: Any, stream: Any) -> list[_Part]:
    """What changes during a training besides the net."""
    parts: list[_Part] = [
        # The generator is set when training begins.
        (
            lambda: samples.generator.get_state(),
            lambda state: samples.generator.set_state(state),
        ),
        (lambda: stream.state, partial(setattr, stream, "state")),
        (run.separation.answers, run.separation.restore),
    ]
    for part in (run.best_epoch, schedule):
        if part is not None:
            parts.append((part.kept, part.take_up))
    if watch is not None:
        inner = [part for part in vars(watch).values() if isinstance(part, Callback)]
        for part in (watch, *(part for part in inner if part is not run.margin_history)):
            parts.append((partial(_attributes, part), vars(part).update))
    return parts


def _attributes(callback: Callback) -> dict[str, Any]:
    """The state of a callback: by skorch's convention, what ends with an underscore."""
    return {name: value for name, value in vars(callback).items() if name.endswith("_")}


def _read(path: Path) -> tuple[dict[str, torch.Tensor], Any]:
    """The tensors of a file, and the rest."""
    arrays, others = read_arrays(path)
    return {
        name: tensor_of(arrays[name], getattr(torch, dtype), shape)
        for name, (dtype, shape) in others["tensors"].items()
    }, others
