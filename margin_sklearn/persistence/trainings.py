"""The training inside a classifier: network, optimizer, history, generators, callbacks."""

import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import fields
from functools import partial
from typing import Any

import torch
from skorch.callbacks import Callback
from torch.optim.lr_scheduler import LRScheduler

from ..adapters.network import full_precision
from ..runtime import drawing_alone, reading, resolve_device, seeded
from ..training.build import TrainingSettings
from ..training.probing import same_outputs, training_outputs
from ..training.rebuilding import rebuilt_run
from ..training.run import TrainingRun
from ..training.state import NetState
from .archive import Damaged
from .coding import Reader, Writer, encode, kind
from .limits import limited

__all__: list[str] = []

# Rows of made-up input at which a network must give the logits that it gave when saved.
N_PROBED = 4
# So many numbers at most: of large images, fewer rows.
N_NUMBERS = 2**20


def _fractions(shape: tuple[int, ...]) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float32)


# Fractions are no codes of categories, and some have no category 0.
MADE_UP = (_fractions, torch.ones)


@encode.register(torch.nn.Module)
def _(value: torch.nn.Module, writer: Writer) -> Any:
    raise TypeError(
        f"is an instance of {type(value).__name__}, and a file can only hold the name of its "
        "class: pass the class, and its arguments as module__… (or criterion__…)"
    )


@encode.register(TrainingRun)
def _(run: TrainingRun, writer: Writer) -> Any:
    with drawing_alone(), reading(run.net.module_):
        return writer.once(run, lambda: {"training": _training_node(run, writer)})


def _training_node(run: TrainingRun, writer: Writer) -> Any:
    net = run.net
    writer.check(run, _same_training(run))
    state = NetState.copy(net, history=True, generators=[run.order_state, *run.generators])
    tensors, others = state.to_tensors()
    place = len({name.partition("/")[0] for name in writer.tensors if "/" in name})
    callbacks = [callback for _, callback in run.user_callbacks]
    settings = {
        part.name: getattr(run.settings, part.name) for part in fields(TrainingSettings)
    }
    return {
        "settings": writer.parts(settings, "settings"),
        "built": {
            "input_shape": list(run.input_shape),
            "n_classes": net.n_classes,
            "input_dtype": str(net.input_dtype).removeprefix("torch."),
            "flops": run.flops,
            "n_threads": net.n_threads,
        },
        "device": str(run.device),
        "epochs": int(net.max_epochs),
        "separation": run.separation.answers(),
        "best_epoch": None if run.best_epoch is None else run.best_epoch.epoch_,
        "state": others,
        "tensors": {
            name: writer.tensor(tensor, f"network_{place}/{name}")
            for name, tensor in tensors.items()
        },
        "callbacks": {"list": [writer.node(vars(c), type(c).__name__) for c in callbacks]},
        "probe": writer.node(
            _probed(run, partial(limited, run.settings.module, tensors)), "probe"
        ),
    }


@kind("training")
def _(node: Any, reader: Reader) -> TrainingRun:
    settings = TrainingSettings(**reader.parts(node["settings"]))
    built = _checked(node["built"])
    tensors = {name: reader.tensor(stored) for name, stored in node["tensors"].items()}
    within_limits = partial(limited, settings.module, tensors)
    with within_limits():
        run = rebuilt_run(
            settings,
            input_shape=tuple(built.pop("input_shape")),
            input_dtype=reader.value({"dtype": built.pop("input_dtype")}),
            device=_available(node["device"]),
            **built,
        )
    for (_, callback), attributes in zip(
        run.user_callbacks, reader.value(node["callbacks"]), strict=True
    ):
        vars(callback).update(_with_schedule(attributes, run))
    state = NetState.from_tensors(_TakenOnce(tensors), node["state"])
    _check_weights(run, state)
    run.restored(state, node["separation"], node["epochs"], node["best_epoch"])
    run.net.evaluation_network()
    _check_logits(run, reader.value(node["probe"]), within_limits)
    return run


class _TakenOnce(dict):
    """Tensors of which each is used once: the next use would be a copy."""

    def __getitem__(self, name: str) -> torch.Tensor:
        return self.pop(name)


def _checked(built: Any) -> dict[str, Any]:
    """What was found from the samples, if it can have been found."""
    built = dict(built)
    counts = [built["n_classes"], *built["input_shape"]]
    if any(type(count) is not int or count < 0 for count in counts):
        raise Damaged(f"it has a network for samples of shape {built['input_shape']!r:.80}")
    if built["n_threads"] not in (None, 1) or type(built["flops"]) not in (int, float):
        raise Damaged("it has a network of an unknown size")
    return built


def _available(name: str) -> torch.device:
    """The device of a name, or the one that replaces it here."""
    if not isinstance(name, str):
        raise Damaged("it has a network on no device")
    try:
        return resolve_device(name)
    except ValueError:
        return torch.device("cpu")


# --- the same network as when it was saved ----------------------------------------------


def _check_weights(run: TrainingRun, state: NetState) -> None:
    """Raise unless the network built here has the parameters that were saved."""
    now = NetState.copy(run.net, optimizer=False).weights
    if {*now} != {*state.weights}:
        differing = sorted({*now} ^ {*state.weights})
        raise Damaged(
            f"{_name(run)} has other parameters here than when it was saved: "
            f"{', '.join(differing[:5])}"
        )
    parameters = dict(run.net.module_.named_parameters(prefix="module"))
    for name, saved in state.weights.items():
        if name in parameters and saved.shape != now[name].shape:
            raise Damaged(
                f"{name} of {_name(run)} has shape {tuple(now[name].shape)} here, and had "
                f"{tuple(saved.shape)} when it was saved"
            )
        if saved.dtype != now[name].dtype:
            raise Damaged(
                f"{name} of {_name(run)} has dtype {now[name].dtype} here, and had "
                f"{saved.dtype} when it was saved"
            )


def _check_logits(
    run: TrainingRun,
    saved: torch.Tensor | None,
    within_limits: Callable[[], AbstractContextManager[None]],
) -> None:
    """Raise if the network, with the saved weights, gives other logits than it did."""
    if saved is None:
        return
    now = _probed(run, within_limits, len(saved))
    if (
        now is None
        or saved.shape != now.shape
        or not torch.allclose(saved, now, rtol=1e-3, atol=1e-4)
    ):
        raise Damaged(
            f"{_name(run)} gives other logits here than when it was saved, with the same "
            "weights: its code has changed, or it keeps something that is neither a "
            "parameter nor a buffer (register_buffer) nor in get_extra_state"
        )


def _probed(
    run: TrainingRun,
    within_limits: Callable[[], AbstractContextManager[None]],
    n_rows: int | None = None,
) -> torch.Tensor | None:
    """Logits at made-up inputs; None if the network cannot evaluate them."""
    module = run.net.evaluation_network().module
    for kind_of_input in MADE_UP:
        try:
            # A module may draw random numbers.
            with within_limits(), seeded(run.device, 0), torch.no_grad():
                logits = full_precision(module(_made_up(run, kind_of_input, n_rows)))
        except Exception:  # such inputs may be impossible, as codes of categories
            continue
        if logits.isfinite().all():
            return logits.float().cpu()
    return None


def _made_up(run: TrainingRun, made: Callable[..., Any], n_rows: int | None) -> torch.Tensor:
    most = max(1, N_NUMBERS // max(1, math.prod(run.input_shape)))
    shape = (min(n_rows or N_PROBED, N_PROBED, most), *run.input_shape)
    return made(shape).to(run.net.device, run.net.input_dtype)


def _same_training(run: TrainingRun) -> Callable[[TrainingRun, TrainingRun], None]:
    """Check that raises unless the network that was made again would train as it does now.

    What it compares with is found here, because another thread may train the network later.
    """
    optimizer, groups = type(run.net.optimizer_), _groups(run)
    inputs = (_made_up(run, kind_of_input, None) for kind_of_input in MADE_UP)
    computed = ((x, training_outputs(run.net, x)) for x in inputs)
    x, outputs = next((pair for pair in computed if pair[1] is not None), (None, None))

    def check(run: TrainingRun, again: TrainingRun) -> None:
        if optimizer is not type(again.net.optimizer_) or groups != _groups(again):
            raise Damaged(
                f"{_name(run)} was trained by another optimizer than its parameters name, or "
                "the optimizer has other weights than the module"
            )
        if x is not None and not same_outputs(outputs, training_outputs(again.net, x)):
            raise Damaged(
                f"{_name(run)} or its loss computes something else in training mode: it was "
                "changed by hand, or keeps something that is neither a parameter nor a buffer "
                "(register_buffer) nor in get_extra_state"
            )

    return check


def _groups(run: TrainingRun) -> list[list[str | None]]:
    """Names of the parameters in each group of the optimizer; None for others."""
    parts = {"module": run.net.module_, "criterion": run.net.criterion_}
    names = {
        id(parameter): f"{part}.{name}"
        for part, whole in parts.items()
        if isinstance(whole, torch.nn.Module)
        for name, parameter in whole.named_parameters()
    }
    groups = run.net.optimizer_.param_groups
    return [[names.get(id(weight)) for weight in group["params"]] for group in groups]


def _name(run: TrainingRun) -> str:
    return type(run.net.module_).__name__


# --- callbacks --------------------------------------------------------------------------


@encode.register(Callback)
def _(value: Callback, writer: Writer) -> Any:
    parts = {"class": type(value), "attributes": vars(value)}
    return writer.once(value, lambda: {"callback": writer.parts(parts, type(value).__name__)})


@kind("callback")
def _(nodes: Any, reader: Reader) -> Callback:
    made = reader.value(nodes["class"])
    if not isinstance(made, type) or not issubclass(made, Callback):
        raise Damaged(f"it has a callback of class {_class_shown(made)}")
    found: Any = object.__new__(made)
    vars(found).update(reader.value(nodes["attributes"]))
    return found


def _class_shown(made: Any) -> str:
    return made.__name__ if isinstance(made, type) else type(made).__name__


class _Schedule:
    """A learning-rate schedule that waits for its optimizer."""

    def __init__(self, made: type, state: dict[str, Any]) -> None:
        self.made, self.state = made, state

    def on(self, optimizer: torch.optim.Optimizer) -> LRScheduler:
        found: Any = object.__new__(self.made)
        vars(found).update(self.state, optimizer=optimizer)
        return found


@encode.register(LRScheduler)
def _(value: LRScheduler, writer: Writer) -> Any:
    state = {name: item for name, item in vars(value).items() if name != "optimizer"}
    parts = {"class": type(value), "state": state}
    return {"schedule": writer.parts(parts, "schedule")}


@kind("schedule")
def _(nodes: Any, reader: Reader) -> _Schedule:
    return _Schedule(reader.value(nodes["class"]), reader.value(nodes["state"]))


def _with_schedule(attributes: dict[str, Any], run: TrainingRun) -> dict[str, Any]:
    return {
        name: value.on(run.net.optimizer_) if isinstance(value, _Schedule) else value
        for name, value in attributes.items()
    }
