"""Reading published files: Keras's .h5, PyTorch's state dicts, pickles of NumPy arrays, archives.

Nothing of a file is ever executed: PyTorch files are opened with `weights_only`, plain pickles by
an unpickler that rebuilds NumPy arrays and containers and refuses all else.
"""

from __future__ import annotations

import collections
import io
import pickle
import re
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import h5py
import numpy as np
import torch
from torch import Tensor

from mien.errors import MienError

_HDF5 = b"\x89HDF\r\n\x1a\n"
_ZIP = b"PK"
_GZIP = b"\x1f\x8b"
# How files of PyTorch before 1.6 begin: a pickle of this number.
_OLD_TORCH = pickle.dumps(torch.serialization.MAGIC_NUMBER, protocol=2)

# NumPy's function that an array's pickle names; where it lies, differs between versions.
_RECONSTRUCT: Any = np.empty(0).__reduce__()[0]

_MEMBERS = (".pth", ".pt", ".pkl")

LARGEST = 2_000_000_000
"""The largest file taken out of an archive, in bytes; the published ones have some 150 million."""


def read(path: Path | str) -> dict[str, Tensor]:
    """Return all arrays of a published file by name; what kind of file it is, its content says.

    In a Keras file the names are `layer/weight`, such as `conv1/7x7_s2/bn/gamma`.

    Raises:
        MienError: there is no such file, it is of no known kind or damaged, or it is a pickle that
            needs more than tensors or plain NumPy arrays.
    """
    path = Path(path)
    if not path.is_file():
        raise MienError(f"there is no file {path}")
    with path.open("rb") as file:
        start = file.read(len(_OLD_TORCH))
    if start.startswith(_HDF5):
        return _read_keras(path)
    if start.startswith(_GZIP):
        content, name = _from_archive(path)
    else:
        content, name = path.read_bytes(), str(path)
    return _read_pickled(content, name)


def _read_keras(path: Path) -> dict[str, Tensor]:
    """Read the layout of Keras 2: a group a layer, its arrays named in the group's attributes."""
    arrays: dict[str, Tensor] = {}
    try:
        with h5py.File(path) as file:
            # A whole model keeps its weights in a group of their own.
            root = file.get("model_weights", file)
            if "layer_names" not in root.attrs:
                raise MienError(
                    f"{path} is an HDF5 file, but not one of Keras 2 (no layer_names)",
                    hint="is it the published file? Keras 3's .weights.h5 is another layout",
                )
            for layer in map(_text, root.attrs["layer_names"]):
                for weight in map(_text, root[layer].attrs["weight_names"]):
                    part = weight.rsplit("/", 1)[-1].removesuffix(":0")
                    arrays[f"{layer}/{part}"] = torch.from_numpy(np.array(root[layer][weight]))
    except (OSError, KeyError, TypeError) as error:
        raise MienError(f"{path} is damaged: {error}", hint="download it again") from error
    return arrays


def _text(name: bytes | str) -> str:
    return name.decode() if isinstance(name, bytes) else str(name)


def _from_archive(path: Path) -> tuple[bytes, str]:
    """Return the one file of weights in a .tar.gz, and what messages call it."""
    try:
        with tarfile.open(path) as archive:
            members = [m for m in archive if m.isfile() and m.name.endswith(_MEMBERS)]
            if len(members) != 1:
                raise MienError(
                    f"{path} holds {len(members)} files of weights ({', '.join(_MEMBERS)}), not 1",
                    hint="unpack it and import the right file",
                )
            if members[0].size > LARGEST:
                raise MienError(
                    f"{members[0].name} in {path} has {members[0].size:,} bytes; at most "
                    f"{LARGEST:,} are read from an archive",
                    hint="is it the published file? If so, unpack it and import what it holds",
                )
            file = archive.extractfile(members[0])
            assert file is not None  # it is a regular file
            return file.read(), f"{members[0].name} in {path}"
    except (tarfile.TarError, EOFError, OSError) as error:
        raise MienError(f"{path} is damaged: {error}", hint="download it again") from error


def _read_pickled(content: bytes, name: str) -> dict[str, Tensor]:
    torch_file = content.startswith((_ZIP, _OLD_TORCH))
    try:
        if torch_file:
            loaded = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        else:
            loaded = _ArraysOnly(io.BytesIO(content), encoding="latin1").load()
    except pickle.UnpicklingError as error:
        raise MienError(
            f"{name} is no pickle of tensors or plain NumPy arrays alone: {_needed(error)}",
            hint="a pickle of more could run anything; get the file as a state dict",
        ) from error
    except Exception as error:  # both raise many kinds for a damaged file
        raise MienError(
            f"{name} is no file of weights, or damaged: {_first_line(error)}",
            hint="download it again",
        ) from error
    if not isinstance(loaded, Mapping):
        raise MienError(f"{name} holds {type(loaded).__name__}, not arrays by name")
    return {str(key): _tensor(value, f"{name}: {key}") for key, value in loaded.items()}


def _tensor(value: object, name: str) -> Tensor:
    if isinstance(value, np.ndarray) and value.dtype.kind in "fiu":
        # PyTorch takes no byte order but the machine's.
        return torch.from_numpy(np.ascontiguousarray(value, value.dtype.newbyteorder("=")))
    if isinstance(value, Tensor):
        return value
    raise MienError(f"{name} is not an array of numbers")


def _needed(error: pickle.UnpicklingError) -> str:
    # PyTorch names what it refused in the middle of advice.
    match = re.search(r"GLOBAL (\S+)", str(error))
    return f"it needs {match[1]}" if match else _first_line(error)


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


class _ArraysOnly(pickle.Unpickler):
    """Rebuilds containers and NumPy arrays; refuses every other name.

    Python 2's pickles of NumPy arrays, as those of the Oxford weights are, need the first four;
    Python 3's with protocol 2 keep bytes as text for `_codecs.encode`.
    """

    _allowed: ClassVar[dict[tuple[str, str], Callable[..., Any]]] = {
        ("collections", "OrderedDict"): collections.OrderedDict,
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
        ("numpy.core.multiarray", "_reconstruct"): _RECONSTRUCT,
        ("numpy._core.multiarray", "_reconstruct"): _RECONSTRUCT,
        ("_codecs", "encode"): lambda text, encoding: _latin1(text, encoding),
    }

    def find_class(self, module_name: str, global_name: str) -> Any:
        try:
            return self._allowed[module_name, global_name]
        except KeyError:
            raise pickle.UnpicklingError(f"it needs {module_name}.{global_name}") from None


def _latin1(text: str, encoding: str) -> bytes:
    # Any other codec could do more than encode.
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"it needs the codec {encoding!r}")
    return text.encode("latin1")
