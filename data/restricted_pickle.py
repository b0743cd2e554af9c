"""Read a PyTorch weights file of the old kind without PyTorch, and without trusting it.

A pickle is a small program: loading one with :func:`pickle.load` may call anything that can
be imported. A weights file needs next to nothing of that power, so this reader knows the few
names listed in ``STORAGE_DTYPES`` and ``_Reader.find_class`` and refuses the file at the first
other one, before anything is called.

The old format (PyTorch before 1.6) is a sequence of five pickles and then raw bytes:

1. a magic number, 2. the format's version, 3. facts about the machine that wrote the file,
4. the object itself, in which every tensor is a *view* (offset, size, strides) of a storage,
5. the keys of the storages; then, for each key, a length (int64) and that many numbers.

References
----------
.. [1] Python documentation, "Restricting Globals",
   https://docs.python.org/3/library/pickle.html#restricting-globals
"""

import math
import pickle
import pickletools
from collections import OrderedDict
from pathlib import Path
from typing import NamedTuple

import numpy as np

MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
FORMAT_VERSION = 1001
MOST_OPCODES = 50_000  # of one pickle; that of EfficientNet-Lite0's 296 tensors has 10,696

STORAGE_DTYPES = {
    "DoubleStorage": "<f8",
    "FloatStorage": "<f4",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
}


class WeightsFileError(pickle.UnpicklingError, ValueError):
    """The file is damaged, is of another format, or asks for more than weights need."""


class _Storage(NamedTuple):
    """A run of numbers that the object announces and the end of the file delivers."""

    dtype: str
    key: str
    length: int


class _View(NamedTuple):
    """A tensor as the file describes it: where in its storage each element lies."""

    storage: _Storage
    offset: int
    size: tuple
    strides: tuple


class _Reader(pickle.Unpickler):
    """An unpickler that can make ordered dictionaries and tensor views, and nothing else.

    What it hands to the pickle's program is immutable (strings, named tuples, a built-in
    class) or thrown away with the reader (the function), so nothing outlives a hostile file.
    """

    def find_class(self, module, name):
        """Return the stand-in for an admitted name; refuse every other name."""
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return lambda storage, offset, size, strides, *_: _View(storage, offset, size, strides)
        if module == "torch" and name in STORAGE_DTYPES:
            return STORAGE_DTYPES[name]
        raise WeightsFileError(
            f"the pickle asks for '{module}.{name}', which a file of weights does not need; "
            "it was refused and nothing in it was run. Use a file from a source you trust."
        )

    def persistent_load(self, reference):
        """Note a storage; its numbers come later in the file."""
        kind, dtype, key, _device, length, view_metadata = reference
        if kind != "storage" or view_metadata is not None:
            raise WeightsFileError(f"the pickle refers to a '{kind}' of a kind not known here.")
        return _Storage(dtype, key, length)


def read_tensors(path):
    """Read all tensors of a legacy PyTorch ``state_dict`` file.

    Parameters
    ----------
    path : str or Path
        File written by ``torch.save`` before PyTorch 1.6 (or with
        ``_use_new_zipfile_serialization=False``).

    Returns
    -------
    dict of str to ndarray
        One array per tensor, in the file's order, of the tensor's shape and dtype, in
        row-major order whatever the strides in the file.

    Raises
    ------
    WeightsFileError
        A `ValueError`: the file is cut short, damaged or of another format, or its pickle
        asks for a name outside the admitted ones.
    """
    path = Path(path)
    with path.open("rb") as file:
        try:
            views, storages = _read_object(file)
            numbers = {key: _read_numbers(file, storages[key]) for key in _load(file)}
            return {name: _to_array(view, numbers[view.storage.key]) for name, view in views}
        except WeightsFileError as error:
            raise WeightsFileError(f"{path.name}: {error}") from None
        except Exception as error:  # a damaged pickle can fail in any way
            raise WeightsFileError(
                f"{path.name} is damaged, cut short, or not a legacy PyTorch weights file "
                f"({type(error).__name__}: {error}). Delete it and fetch it again."
            ) from error


def _load(file):
    """Load the next pickle of a file, unless it is made to exhaust the memory or the stack.

    A handful of bytes can ask for a table of 2³² remembered values, and nested tuples, one
    byte a level, overflow the interpreter's stack: both would end Python, not raise an error.
    """
    begin = file.tell()
    for number, (opcode, argument, _) in enumerate(pickletools.genops(file)):
        if number > MOST_OPCODES or ("PUT" in opcode.name and argument > number):
            raise WeightsFileError(
                "its pickle is larger, or wants more memory, than a list of tensors needs; "
                "it was refused and nothing in it was run. Use a file from a source you trust.")
    file.seek(begin)
    return _Reader(file).load()


def _read_object(file):
    """Read the first four pickles; return the (name, view) pairs and the storages by key."""
    if _load(file) != MAGIC_NUMBER:
        raise WeightsFileError("it does not begin as a legacy PyTorch file does.")
    version, machine = _load(file), _load(file)
    if version != FORMAT_VERSION or not machine["little_endian"]:
        raise WeightsFileError(f"format version {version} or its byte order is not known here.")
    views = list(_load(file).items())
    for name, view in views:
        if not isinstance(view, _View):
            raise WeightsFileError(f"entry '{name}' is no tensor; a plain state_dict is needed.")
    return views, {view.storage.key: view.storage for _, view in views}


def _read_numbers(file, storage):
    """Read one storage: its length, which must be the announced one, then its numbers."""
    dtype = np.dtype(storage.dtype)
    length = int.from_bytes(file.read(8), "little", signed=True)
    if length != storage.length:
        raise WeightsFileError(
            f"storage {storage.key} holds {length} numbers, not the announced "
            f"{storage.length}; the file is damaged or cut short."
        )
    numbers = np.fromfile(file, dtype, length)
    if len(numbers) != length:
        raise WeightsFileError(
            f"the file is cut short: storage {storage.key} ends after {len(numbers)} of "
            f"{length} numbers. Delete it and fetch it again."
        )
    return numbers


def _to_array(view, numbers):
    """Copy a view's elements into an array of the tensor's shape."""
    reach = sum((n - 1) * step for n, step in zip(view.size, view.strides, strict=True))
    inside = view.offset >= 0 and view.offset + reach < len(numbers)
    if not inside or min(view.strides, default=0) < 0 or math.prod(view.size) > len(numbers):
        raise WeightsFileError("a tensor reaches outside its storage; the file is damaged.")
    return np.lib.stride_tricks.as_strided(
        numbers[view.offset :],
        shape=view.size,
        strides=[step * numbers.itemsize for step in view.strides],
    ).copy()
