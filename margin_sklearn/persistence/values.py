"""Plain values: containers, arrays, tensors, classes, DataFrames."""

import functools
import math
import types
from collections.abc import Callable
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.utils import Bunch

from .archive import Damaged
from .coding import Reader, Writer, encode, kind

__all__: list[str] = []

# Kinds of NumPy's dtypes that hold values, not references to objects.
OF_VALUES = "biufcmMSU"
MOST_OF_RANGE = 100_000


# --- containers -------------------------------------------------------------------------


@encode.register(list)
@encode.register(tuple)
@encode.register(set)
@encode.register(frozenset)
def _(value: Any, writer: Writer) -> Any:
    name = type(value).__name__
    if type(value) not in CONTAINERS.values():
        raise TypeError(f"is a {name}, a class of its own: make it a list, tuple or dict")
    return {name: [writer.node(item, f"item {i}") for i, item in enumerate(value)]}


CONTAINERS = {made.__name__: made for made in (list, tuple, set, frozenset)}


def _container_of(made: type) -> Callable[[Any, Reader], Any]:
    return lambda items, reader: made(map(reader.value, items))


for _name, _made in CONTAINERS.items():
    kind(_name)(_container_of(_made))


@encode.register(dict)
def _(value: dict, writer: Writer) -> Any:
    if type(value) not in (dict, Bunch):
        raise TypeError(f"is a {type(value).__name__}, a class of its own: make it a dict")
    # Keys may be numbers.
    pairs = [
        [writer.node(key, f"key {key!r}"), writer.node(item, f"[{key!r}]")]
        for key, item in value.items()
    ]
    return {"bunch" if type(value) is Bunch else "dict": pairs}


@kind("dict")
def _(pairs: Any, reader: Reader) -> Any:
    return {reader.value(key): reader.value(item) for key, item in pairs}


@kind("bunch")
def _(pairs: Any, reader: Reader) -> Any:
    return Bunch(**{reader.value(key): reader.value(item) for key, item in pairs})


@encode.register(slice)
@encode.register(range)
def _(value: Any, writer: Writer) -> Any:
    ends = [writer.node(end, "end") for end in (value.start, value.stop, value.step)]
    return {type(value).__name__: ends}


@kind("slice")
def _(ends: Any, reader: Reader) -> Any:
    return slice(*map(reader.value, ends))


@kind("range")
def _(ends: Any, reader: Reader) -> Any:
    found = range(*map(reader.value, ends))
    # What takes a few bytes here can keep a loop busy for years.
    if len(found[: MOST_OF_RANGE + 1]) > MOST_OF_RANGE:
        raise Damaged(f"it has a range of more than {MOST_OF_RANGE:,} numbers: {found!r}")
    return found


@encode.register(complex)
def _(value: complex, writer: Writer) -> Any:
    return {"complex": [value.real, value.imag]}


@kind("complex")
def _(parts: Any, reader: Reader) -> Any:
    return complex(*parts)


@encode.register(PurePath)
def _(value: PurePath, writer: Writer) -> Any:
    return {"path": str(value)}


@kind("path")
def _(text: Any, reader: Reader) -> Any:
    return Path(text)


# --- classes and functions --------------------------------------------------------------


@encode.register(type)
@encode.register(types.FunctionType)
@encode.register(types.BuiltinFunctionType)
def _(value: Any, writer: Writer) -> Any:
    return {"name": writer.name(value)}


@encode.register(types.MethodType)
def _(value: types.MethodType, writer: Writer) -> Any:
    owner = type(value.__self__).__name__
    raise TypeError(
        f"is {value.__name__}, a method of a {owner}, which cannot be stored: use a function "
        "of a module"
    )


@encode.register(np.ufunc)
def _(value: np.ufunc, writer: Writer) -> Any:
    # It has no module of its own.
    name = f"numpy.{value.__name__}"
    if getattr(np, value.__name__, None) is not value:
        raise TypeError(f"is {value!r}, which NumPy does not have: define a function")
    writer.named[name] = value
    return {"name": name}


@kind("name")
def _(name: Any, reader: Reader) -> Any:
    return reader.named(name)


@encode.register(functools.partial)
def _(value: functools.partial, writer: Writer) -> Any:
    parts = {"func": value.func, "args": value.args, "keywords": value.keywords}
    return writer.once(value, lambda: {"partial": writer.parts(parts, "partial")})


@kind("partial")
def _(nodes: Any, reader: Reader) -> Any:
    parts = reader.parts(nodes)
    return functools.partial(parts["func"], *parts["args"], **parts["keywords"])


# --- arrays and tensors -----------------------------------------------------------------


@encode.register(torch.Tensor)
def _(value: torch.Tensor, writer: Writer) -> Any:
    return writer.once(value, lambda: {"tensor": writer.tensor(value)})


@kind("tensor")
def _(name: Any, reader: Reader) -> Any:
    return reader.tensor(name)


@encode.register(torch.dtype)
@encode.register(torch.device)
def _(value: Any, writer: Writer) -> Any:
    return {type(value).__name__: str(value).removeprefix("torch.")}


@kind("dtype")
def _(name: Any, reader: Reader) -> Any:
    found = getattr(torch, name)
    if not isinstance(found, torch.dtype):
        raise Damaged(f"torch.{name} is not a dtype")
    return found


@kind("device")
def _(name: Any, reader: Reader) -> Any:
    return torch.device(name)


@encode.register(np.ndarray)
def _(value: np.ndarray, writer: Writer) -> Any:
    if type(value) not in (np.ndarray, np.memmap):
        raise TypeError(f"is a {type(value).__name__}: make it a numpy.ndarray")
    return writer.once(value, lambda: _array_node(value, writer))


@encode.register(np.ma.MaskedArray)
def _(value: np.ma.MaskedArray, writer: Writer) -> Any:
    parts = {"data": value.data, "mask": np.ma.getmaskarray(value), "fill": value.fill_value}
    return {"masked": writer.parts(parts, "masked array")}


@kind("masked")
def _(nodes: Any, reader: Reader) -> Any:
    parts = reader.parts(nodes)
    return np.ma.MaskedArray(parts["data"], parts["mask"], fill_value=parts["fill"])


@encode.register(np.generic)
def _(value: np.generic, writer: Writer) -> Any:
    return {"scalar": _array_node(np.asarray(value), writer)["array"]}


@encode.register(np.dtype)
def _(value: np.dtype, writer: Writer) -> Any:
    return {"numpy_dtype": _dtype_text(value)}


def _dtype_text(dtype: np.dtype) -> str:
    if dtype.kind not in OF_VALUES or dtype.hasobject or dtype.char in "gG":
        raise TypeError(f"has dtype {dtype}, which depends on the machine or holds objects")
    return dtype.str


def _array_node(value: np.ndarray, writer: Writer) -> Any:
    if value.dtype.kind == "O":
        items = [writer.node(item, f"item {i}") for i, item in enumerate(value.flat)]
        return {"objects": {"shape": list(value.shape), "items": items}}
    dtype = _dtype_text(value.dtype)
    # As bytes: tensors know fewer dtypes than arrays.
    numbers = torch.frombuffer(bytearray(value.tobytes()) or bytearray(1), dtype=torch.uint8)
    name = writer.tensor(numbers)
    return {"array": {"dtype": dtype, "shape": list(value.shape), "bytes": name}}


@kind("numpy_dtype")
def _(text: Any, reader: Reader) -> np.dtype:
    dtype = np.dtype(text)
    if dtype.kind not in OF_VALUES:
        raise Damaged(f"it has an array of dtype {text!r}")
    return dtype


@kind("array")
def _(content: Any, reader: Reader) -> np.ndarray:
    dtype = reader.value({"numpy_dtype": content["dtype"]})
    numbers = reader.tensor(content["bytes"]).numpy().tobytes()
    shape = tuple(content["shape"])
    if any(type(side) is not int or side < 0 for side in shape):
        raise Damaged(f"it has an array of shape {shape}")
    if not math.prod(shape):
        return np.empty(shape, dtype)
    # A copy, because the user may write to it.
    return np.frombuffer(numbers, dtype=dtype).reshape(shape).copy()


@kind("scalar")
def _(content: Any, reader: Reader) -> Any:
    return reader.value({"array": content})[()]


@kind("objects")
def _(content: Any, reader: Reader) -> np.ndarray:
    items = content["items"]
    found = np.empty(len(items), dtype=object)
    for place, item in enumerate(items):
        found[place] = reader.value(item)
    return found.reshape(tuple(content["shape"]))


# --- pandas -----------------------------------------------------------------------------


@encode.register(pd.Index)
@encode.register(pd.Series)
@encode.register(pd.DataFrame)
def _(value: Any, writer: Writer) -> Any:
    if isinstance(value, pd.DataFrame):
        columns = [_column(value.iloc[:, i].array) for i in range(value.shape[1])]
        parts = {"index": value.index, "columns": value.columns, "values": columns}
        return {"frame": writer.parts(parts, "DataFrame")}
    if isinstance(value, pd.Series):
        parts = {"index": value.index, "name": value.name, "values": _column(value.array)}
        return {"series": writer.parts(parts, "Series")}
    if type(value) is pd.RangeIndex:
        parts = {"ends": (value.start, value.stop, value.step), "name": value.name}
        return {"range_index": writer.parts(parts, "index")}
    if isinstance(value, pd.MultiIndex):
        levels = [value.get_level_values(i) for i in range(value.nlevels)]
        return {"multi_index": writer.parts({"levels": levels}, "index")}
    parts = {"values": _column(value.array), "name": value.name}
    return {"index": writer.parts(parts, "index")}


def _column(values: Any) -> dict[str, Any]:
    """The values of a column or an index, and their dtype if it is not NumPy's."""
    dtype = values.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        return {
            "codes": np.asarray(values.codes),
            "categories": values.categories,
            "ordered": bool(values.ordered),
        }
    if isinstance(dtype, np.dtype):
        return {"values": values.to_numpy()}
    if isinstance(dtype, pd.DatetimeTZDtype | pd.PeriodDtype | pd.IntervalDtype):
        raise TypeError(f"has a column or an index of dtype {dtype}: convert it")
    items = [None if pd.isna(item) else item for item in values]
    return {"items": items, "dtype": str(dtype)}


def _values_of(column: dict[str, Any]) -> Any:
    if "codes" in column:
        return pd.Categorical.from_codes(
            column["codes"], column["categories"], ordered=column["ordered"]
        )
    if "dtype" in column:
        return pd.array(column["items"], dtype=column["dtype"])
    return column["values"]


@kind("frame")
def _(nodes: Any, reader: Reader) -> pd.DataFrame:
    parts = reader.parts(nodes)
    columns = [pd.Series(_values_of(column)) for column in parts["values"]]
    frame = pd.concat(columns, axis=1) if columns else pd.DataFrame(index=parts["index"])
    frame.index, frame.columns = parts["index"], parts["columns"]
    return frame


@kind("series")
def _(nodes: Any, reader: Reader) -> pd.Series:
    parts = reader.parts(nodes)
    return pd.Series(_values_of(parts["values"]), index=parts["index"], name=parts["name"])


@kind("range_index")
def _(nodes: Any, reader: Reader) -> pd.RangeIndex:
    parts = reader.parts(nodes)
    start, stop, step = parts["ends"]
    return pd.RangeIndex(start, stop, step, name=parts["name"])


@kind("multi_index")
def _(nodes: Any, reader: Reader) -> pd.MultiIndex:
    return pd.MultiIndex.from_arrays(reader.parts(nodes)["levels"])


@kind("index")
def _(nodes: Any, reader: Reader) -> pd.Index:
    parts = reader.parts(nodes)
    return pd.Index(_values_of(parts["values"]), name=parts["name"])
