"""VGG16's weights as plain arrays, from a package, a download or a file.

A layer is ``[kernel, bias]`` in Keras's layout: a convolution's kernel has the axes (row, column,
in, out), a dense layer's (in, out). The ImageNet weights come from two sources, and
`tensor_digest` shows that both give the same tensors:

``"packaged"``
    a package whose ONNX model starts with VGG16's 13 convolution layers, unchanged;
``"imagenet"``
    the file that Keras downloads, 553 MB, with the three dense layers.
"""

import hashlib
import io
import os
import re
import zipfile
from collections.abc import Iterable
from pathlib import Path

import h5py
import numpy as np

from data import fetch

Arrays = dict[str, list[np.ndarray]]

# The file's name carries a number: raise it when `_convert_onnx` writes something else.
CONVERTED = "vgg16-trunk-1.weights.h5"

FILTERS = (64, 128, 256, 512, 512)  # of each block's convolutions, [1]_ of `vgg16_arrays`
CONVOLUTIONS = (2, 2, 3, 3, 3)  # in each block
DENSE_SHAPES = {"fc1": (7 * 7 * 512, 4096), "fc2": (4096, 4096), "predictions": (4096, 1000)}


def _trunk_shapes() -> dict[str, tuple[int, ...]]:
    shapes, channels = {}, 3
    for block, (filters, count) in enumerate(zip(FILTERS, CONVOLUTIONS, strict=True), 1):
        for conv in range(1, count + 1):
            shapes[f"block{block}_conv{conv}"] = (3, 3, channels, filters)
            channels = filters
    return shapes


TRUNK_SHAPES = _trunk_shapes()


def vgg16_arrays(source: str | os.PathLike = "packaged") -> Arrays:
    """Weights of VGG16 [1]_ by layer name.

    Parameters
    ----------
    source : {"packaged", "imagenet"} or path
        ``"packaged"``: the convolution layers out of a package. ``"imagenet"``: Keras's download.
        Otherwise a file of Keras: ``save_weights`` (``.weights.h5``), ``save`` (``.keras``,
        ``.h5``), or one of keras.applications, with or without the dense layers.

    Returns
    -------
    dict of str to list of ndarray
        ``{"block1_conv1": [kernel, bias], …, "block5_conv3": …}``, float32, in the order of the
        network; then ``fc1``, ``fc2`` and ``predictions`` if the file has them.

    Raises
    ------
    ValueError
        The file is not HDF5, is damaged, or belongs to another architecture.
    FileNotFoundError
        There is no such file.
    data.fetch.FetchError
        A download failed.

    References
    ----------
    .. [1] K. Simonyan and A. Zisserman, "Very Deep Convolutional Networks for Large-Scale Image
       Recognition", ICLR 2015, https://arxiv.org/abs/1409.1556
    """
    if source == "packaged":
        return _packaged_arrays()
    if source == "imagenet":
        return _read_h5(fetch.fetch("vgg16-imagenet"))
    return _read_h5(Path(source).expanduser())


def tensor_digest(*arrays: np.ndarray) -> str:
    """SHA-256 of arrays, one after the other, as little-endian float32 in C order.

    For a layer: ``tensor_digest(kernel, bias)``. Equal digests mean equal weights, bit by bit.
    """
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array, "<f4"))
    return digest.hexdigest()


def is_imagenet_trunk(arrays: Arrays) -> bool:
    """Tell whether the 13 convolution layers are, bit by bit, those trained on ImageNet."""
    return all(
        layer in arrays and tensor_digest(*arrays[layer]) == digest
        for layer, digest in fetch.vgg16_digests().items()
    )


def _packaged_arrays() -> Arrays:
    """The packaged trunk; a converted file that was damaged since is made anew."""
    path = fetch.build_once(CONVERTED, _convert_onnx)
    try:
        arrays = _read_h5(path)
    except ValueError:
        arrays = {}
    if not is_imagenet_trunk(arrays):
        path.unlink(missing_ok=True)
        arrays = _read_h5(fetch.build_once(CONVERTED, _convert_onnx))
    return arrays


def _convert_onnx(target: Path) -> None:
    """Write the trunk of the packaged ONNX model to `target`, after checking every layer."""
    arrays = _read_onnx(fetch.fetch("vgg16-trunk"))
    _check_shapes(arrays, "The packaged ONNX model")
    if not is_imagenet_trunk(arrays):
        raise ValueError("The packaged ONNX model does not hold VGG16's ImageNet weights: its "
                         "layers differ from the digests in data/sources.toml.")
    # Written in memory first: h5py hides a full disk behind errors of its own.
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        for layer, tensors in arrays.items():
            for index, tensor in enumerate(tensors):
                file[f"layers/{layer}/vars/{index}"] = tensor
    target.write_bytes(buffer.getbuffer())


def _read_onnx(path: Path) -> Arrays:
    """Convolution layers of an ONNX model that kept VGG16's layer names; all else is ignored."""
    import onnx  # slow to import, and needed once

    graph = onnx.load(path).graph
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    arrays = {}
    for node in graph.node:
        if node.op_type == "Conv" and (name := re.search(r"block\d_conv\d", node.name)):
            kernel, bias = (onnx.numpy_helper.to_array(tensors[key]) for key in node.input[1:3])
            # ONNX keeps (out, in, row, column), Keras (row, column, in, out).
            arrays[name[0]] = [np.ascontiguousarray(kernel.transpose(2, 3, 1, 0)), bias]
    return arrays


def _read_h5(path: Path) -> Arrays:
    """Read VGG16's layers from any HDF5 file that Keras writes."""
    if not path.is_file():
        raise FileNotFoundError(f"weights file {path} not found; give 'packaged', 'imagenet' or "
                                "the path of a Keras .h5 file of VGG16.")
    try:
        with h5py.File(_weights_in(path)) as file:
            arrays = {name: _tensors(group) for name, group in _layer_groups(file).items()}
    # h5py, on damage at different depths, or the archive around it
    except (OSError, RuntimeError, KeyError, zipfile.BadZipFile) as problem:
        raise ValueError(f"{path.name} is damaged, cut short or not an HDF5 file ({problem}); "
                         "expected weights of VGG16 as Keras writes them.") from problem
    return _check_shapes(arrays, path.name)


def _weights_in(path: Path) -> Path | io.BytesIO:
    """The HDF5 file of weights: the file itself, or the one inside a ``.keras`` file."""
    if not zipfile.is_zipfile(path):
        return path
    with zipfile.ZipFile(path) as file:
        return io.BytesIO(file.read("model.weights.h5"))


def _layer_groups(file: h5py.File) -> dict[str, h5py.Group]:
    """Groups by layer name: below ``layers`` (Keras 3), ``model_weights`` or the root (older).

    Keras 3 calls a group after the layer's class (``conv2d_4``); the name is then an attribute.
    """
    parent = file.get("layers", file.get("model_weights", file))
    groups = {key: group for key, group in parent.items() if isinstance(group, h5py.Group)}
    return {_layer_name(key, group): group for key, group in groups.items()}


def _layer_name(key: str, group: h5py.Group) -> str:
    return group["vars"].attrs.get("name", key) if "vars" in group else key


def _tensors(group: h5py.Group) -> list[np.ndarray]:
    """Every array below a group, the one with the most axes (the kernel) first."""
    found = []

    def collect(_, item):
        if isinstance(item, h5py.Dataset):
            found.append(item[()])

    group.visititems(collect)
    return sorted(found, key=np.ndim, reverse=True)


def _check_shapes(arrays: Arrays, where: str) -> Arrays:
    """The layers of VGG16 among `arrays`, in order; `ValueError` unless each is as it must be."""
    expected = TRUNK_SHAPES
    if DENSE_SHAPES.keys() & arrays.keys():
        expected = TRUNK_SHAPES | DENSE_SHAPES
    missing = [layer for layer in expected if layer not in arrays]
    if missing:
        raise ValueError(f"{where} is not VGG16: it lacks {_some(missing)}, and has "
                         f"{_some(arrays) or 'no layers'}.")
    surplus = [name for name in arrays if re.match(r"block\d_conv", name) and name not in expected]
    if surplus:
        raise ValueError(f"{where} is not VGG16: it also has {_some(surplus)}, as VGG19 does.")
    for layer, shape in expected.items():
        found = [np.shape(tensor) for tensor in arrays[layer]]
        if found != [shape, shape[-1:]]:
            raise ValueError(f"{where} is not VGG16: {layer} should have a kernel of shape "
                             f"{shape} and {shape[-1]} biases, but has {found}.")
    return {layer: [np.asarray(t, np.float32) for t in arrays[layer]] for layer in expected}


def _some(names: Iterable[str], count: int = 4) -> str:
    names = list(names)
    return ", ".join(names[:count]) + (f" and {len(names) - count} more" * (len(names) > count))
