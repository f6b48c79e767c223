"""The file: a safetensors archive with a JSON document and a checksum in its metadata."""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

import torch

__all__ = ["Damaged", "packed", "unpacked"]

# Raised with every change that earlier versions cannot read.
FORMAT = 1
KEY = "margin_sklearn"


class Damaged(ValueError):
    """A file is truncated, changed, or not one of ours."""


def packed(document: Any, tensors: Mapping[str, torch.Tensor]) -> bytes:
    """Put a JSON document and tensors into the content of one file.

    Parameters
    ----------
    document : object
        What JSON can hold.
    tensors : dict of str to torch.Tensor

    Returns
    -------
    data : bytes
        A safetensors file: an eight-byte length, a JSON header, the numbers.

    Raises
    ------
    TypeError
        If safetensors does not know the dtype of a tensor.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save

    plain = _plain(tensors)
    text = json.dumps(document)
    try:
        content = save(plain)
    except (KeyError, SafetensorError) as error:
        raise TypeError(
            f"A tensor cannot be stored, because safetensors does not know its dtype: {error}."
        ) from error
    _, header, numbers = _parts(content)
    digest = _digest(header, text, numbers)
    return save(plain, {KEY: text, "format": str(FORMAT), "sha256": digest})


def unpacked(data: bytes) -> tuple[Any, dict[str, torch.Tensor]]:
    """Take the content of a file apart again.

    Parameters
    ----------
    data : bytes

    Returns
    -------
    document : object
    tensors : dict of str to torch.Tensor
        On the CPU.

    Raises
    ------
    Damaged
        If the content is not what :func:`packed` made.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    metadata, header, numbers = _parts(data)
    if KEY not in metadata:
        raise Damaged("it is a safetensors file of another program")
    number = metadata.get("format", "")
    if not re.fullmatch("[1-9][0-9]{0,8}", number):
        raise Damaged("it does not say in which format it was written")
    if int(number) > FORMAT:
        raise Damaged(
            f"it was written in format {number} by a newer margin_sklearn, and this version "
            f"reads formats up to {FORMAT}: install the newer version"
        )
    if metadata.get("sha256") != _digest(header, metadata[KEY], numbers):
        raise Damaged("its checksum is not that of its content")
    try:
        return json.loads(metadata[KEY]), load(data)
    except (SafetensorError, ValueError, RecursionError) as error:
        raise Damaged(str(error)) from error


def _plain(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Tensors that share no memory, which safetensors refuses."""
    plain: dict[str, torch.Tensor] = {}
    places: set[int] = set()
    for name, tensor in tensors.items():
        tensor = tensor.detach().cpu().resolve_conj().resolve_neg().contiguous()
        memory = tensor.untyped_storage()
        if memory.data_ptr() in places or memory.nbytes() != tensor.nbytes:
            tensor = tensor.clone()
        places.add(memory.data_ptr())
        plain[name] = tensor
    return plain


def _parts(data: bytes) -> tuple[dict[str, str], dict[str, Any], bytes]:
    """Metadata, the rest of the header, and the numbers after it."""
    length = int.from_bytes(data[:8], "little")
    if len(data) < 8 or length > len(data) - 8:
        raise Damaged("it is truncated, or of another kind")
    try:
        header = json.loads(data[8 : 8 + length].decode())
    except (ValueError, RecursionError) as error:
        raise Damaged("it does not begin as a safetensors file does") from error
    metadata = header.pop("__metadata__", {}) if isinstance(header, dict) else None
    if not isinstance(metadata, dict) or not all(
        isinstance(value, str) for value in metadata.values()
    ):
        raise Damaged("it does not begin as a safetensors file does")
    return metadata, header, data[8 + length :]


def _digest(header: Any, text: str, numbers: bytes) -> str:
    digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    digest.update(text.encode())
    digest.update(numbers)
    return digest.hexdigest()
