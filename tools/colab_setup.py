# Set-up. On Colab: fetch this project once and add what Colab lacks. Elsewhere: only let
# a notebook in notebooks/ find the project's modules in the folder above.
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

REPOSITORY, TAG = "", ""  # the project's public address: none yet (see pyproject.toml)
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # no start-up notices from TensorFlow
if "google.colab" in sys.modules:
    if REPOSITORY and not Path("lab3-circuit").exists():
        subprocess.run(["git", "clone", "-q", "-b", TAG, REPOSITORY, "lab3-circuit"], check=True)
    if importlib.util.find_spec("onnx") is None:  # from 1.22 on it would replace Colab's protobuf
        subprocess.run([sys.executable, "-m", "pip", "install", "-q", "onnx<1.22"], check=True)
if importlib.util.find_spec("vizutils") is None:
    homes = [path for path in (Path(".."), *Path().iterdir()) if (path / "vizutils.py").exists()]
    if not homes:
        raise ModuleNotFoundError("Set REPOSITORY and TAG above to the project's address, or upload"
                                  " it as a zip, run `!unzip -q NAME.zip` and this cell once more.")
    sys.path.insert(0, str(homes[0].resolve()))
