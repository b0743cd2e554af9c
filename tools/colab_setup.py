# Set-up. On Colab: fetch this project once (or ask for its zip), and add what Colab lacks.
# Elsewhere: only let a notebook in notebooks/ find the project's modules in the folder above.
import importlib.util
import os
import subprocess
import sys
import zipfile
from pathlib import Path

REPOSITORY, TAG = "", ""  # the project's public address: none yet (see pyproject.toml)
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # no start-up notices from TensorFlow
if "google.colab" in sys.modules:
    if REPOSITORY and not Path("lab3-circuit").exists():
        subprocess.run(["git", "clone", "-q", "-b", TAG, REPOSITORY, "lab3-circuit"], check=True)
    if importlib.util.find_spec("onnx") is None:  # from 1.22 on it would replace Colab's protobuf
        subprocess.run([sys.executable, "-m", "pip", "install", "-q", "onnx<1.22"], check=True)
    if not REPOSITORY and not [*Path().glob("*/vizutils.py"), *Path().glob("vizutils.py")]:
        from google.colab import files  # Colab's own dialog
        print("Choose the project's zip: `make zip` writes it, to build/lab3-circuit.zip.")
        for name in filter(zipfile.is_zipfile, files.upload()):
            zipfile.ZipFile(name).extractall()
if importlib.util.find_spec("vizutils") is None:
    homes = [path for path in (Path(".."), *Path().iterdir()) if (path / "vizutils.py").exists()]
    if not homes:
        raise ModuleNotFoundError("The project is not here. On Colab, run this cell again and "
                                  "choose its zip (`make zip`), or set REPOSITORY and TAG above.")
    sys.path.insert(0, str(homes[0].resolve()))
