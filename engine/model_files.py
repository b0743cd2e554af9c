"""Whole models from files, without running any code that a file brings."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path

import h5py
import keras

from engine.flattening import SUBCLASSED
from engine.kinds import KINDS, RUNS_CODE
from engine.network import Network
from engine.wrapping import as_network, plain_keras

ENDINGS = (".keras", ".h5", ".hdf5")  #: of files that hold a whole model
LONGEST = 10**8  #: bytes of a description of a model; NASNetLarge's has 1.5 million
#: Where functions may come from that a model's file names, such as activations.
FUNCTIONS = ("keras.activations", "keras.src.activations", "keras.ops", "keras.src.ops",
             "keras.initializers", "keras.src.initializers", "keras.regularizers", "builtins")
BUILD_ANEW = ("Build the model in Python, give it the file's weights (model.load_weights), and "
              "wrap it: vz.as_network(model).")


def is_model_file(name) -> bool:
    """Whether what names a network is the path of a file rather than a known name."""
    if isinstance(name, os.PathLike):
        return True
    text = str(name)
    return text.lower().endswith(ENDINGS) or "/" in text or "\\" in text


def load_model_file(path, *, preprocess=None, classes=None, output=None) -> Network:
    """The network in a whole-model file of Keras: ``.keras``, or ``.h5``.

    The file's description of the model is looked through first: layers that would run code of
    the file's, or that are no layers of Keras, are refused; then Keras reads it in its safe mode.

    Parameters
    ----------
    path : path
    preprocess, classes, output
        As in `as_network`.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        It holds no whole model, is damaged, or needs code of its own; as `as_network`.
    """
    path = Path(path).expanduser()
    if path.is_dir():
        raise ValueError(f"{path.name} is a folder (a SavedModel?): save the model as one file, "
                         'model.save("mine.keras").')
    if not path.is_file():
        raise FileNotFoundError(f"there is no model file {path}; give the path of a .keras or "
                                "whole-model .h5 file, or the name of a network.")
    description = _description(path)
    kind = description.get("class_name")
    if kind not in ("Functional", "Model", "Sequential") and not hasattr(keras.layers, str(kind)):
        raise ValueError(f"the model in {path.name} ({kind}) {SUBCLASSED}")
    for part in _parts(description):
        _check_part(part, path.name)
    with plain_keras():
        model = _read(path)
        model.trainable = False
        net = as_network(model, preprocess=preprocess, name=path.stem, classes=classes,
                         output=output)
    object.__setattr__(net, "weights_source", f"all layers from the file {path.name}")
    return net


def _read(path: Path) -> keras.Model:
    """What Keras makes of a file; an error in one sentence where it makes nothing of it."""
    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as problem:  # noqa: BLE001  Keras raises whatever a damaged file leads to
        words = " ".join(str(problem).split())
        raise ValueError(f"{path.name} is damaged, or not as this version of Keras writes models "
                         f"({type(problem).__name__}: {words[:200]}). {BUILD_ANEW}") from problem


def _description(path: Path) -> dict:
    """The description of a model's layers that its file holds, as plain lists and mappings."""
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as file:
                if file.getinfo("config.json").file_size > LONGEST:
                    raise ValueError("its description is too long to be one")
                text = file.read("config.json")
        else:
            with h5py.File(path) as file:
                text = file.attrs.get("model_config")
        if text is not None:
            found = json.loads(text)
            if not isinstance(found, dict):
                raise ValueError("its description is none of a model")
            return found
    except (OSError, KeyError, ValueError, RuntimeError, zipfile.BadZipFile) as problem:
        raise ValueError(f"{path.name} is no whole model as Keras writes it, or is damaged "
                         f"({problem}): save it by model.save(\"mine.keras\").") from problem
    raise ValueError(f"{path.name} holds weights only, and no model. {BUILD_ANEW}")


def _parts(description) -> Iterator[dict]:
    """Every part of a description that names a class or function; not how it was trained."""
    waiting = [description]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            if isinstance(part.get("class_name"), str):
                yield part
            waiting += [value for key, value in part.items() if key != "compile_config"]
        elif isinstance(part, list):
            waiting += part


def _check_part(part: dict, file: str) -> None:
    """Refuse a part that would run code of the file's, or that needs code that it has not."""
    name, module = part["class_name"], part.get("module")
    module = module if module is None else str(module)
    if name.strip("_").lower() == "lambda" or name in RUNS_CODE:
        raise ValueError(f"{file} has a {name.strip('_')} layer, which runs code that the file "
                         "brings: it is not loaded. Put a layer of Keras in its place (Rescaling, "
                         "for preprocessing). If you trust the file, load it in Python yourself "
                         "and wrap it: vz.as_network(model).")
    known = str(part.get("registered_name") or name)
    if keras.saving.get_registered_object(known) or keras.saving.get_registered_object(
            f"Custom>{name}"):
        return  # code of this session's, not of the file's
    own = module is not None and module.partition(".")[0] not in ("keras", "builtins")
    config = part.get("config")
    layer = "module" not in part and isinstance(config, dict) and "name" in config  # in .h5 files
    if own or layer and name not in ("Functional", *KINDS) and not any(
            hasattr(home, name) for home in (keras, keras.layers)):
        raise ValueError(f"{file} needs {name}, which is no layer of Keras: a file holds its name, "
                         f"not its code. {BUILD_ANEW}")
    if name == "function" and module is not None and not module.startswith(FUNCTIONS):
        raise ValueError(f"{file} names the function {part.get('config')} of {module}, which no "
                         "model needs: it is not loaded.")
