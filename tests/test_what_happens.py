"""The table of docs/what_happens.md: each row is done, and must say what the table says.

A row's first column ends in the call, its second holds what the user sees: the kind (an error's
class, a warning, a printed line, a result) and the sentence, in which … stands for anything. The
call runs with the names of `AT_HAND` and `MADE`, in a folder with the files of `files`; a row whose
words are a key of `SITUATIONS` is done under that trouble.
"""

import contextlib
import errno
import html
import io
import os
import re
import socket
import struct
import threading
import time
import warnings
import zlib
from contextlib import redirect_stdout
from pathlib import Path

import h5py
import keras
import numpy as np
import pandas as pd
import pytest
from PIL import Image

import vizutils as vz
from data import fetch, restricted_pickle
from techniques import (
    adversarial,
    analysis,
    architectures,
    attribution,
    circuits,
    dashboard,
    deconvnet,
    deepdream,
    faithfulness,
    inversion,
    silencing,
    stimuli,
)
from tools import grade, report, reports

PAGE = Path(__file__).resolve().parents[1] / "docs" / "what_happens.md"
BEGIN, END = "<!-- what happens when -->", "<!-- end of what happens when -->"
KINDS = ("warning", "printed", "result", "Interrupted")


def rows():
    """(words, call, kind, sentence) of each row between the page's two marks."""
    text = PAGE.read_text(encoding="utf-8")
    lines = text.partition(BEGIN)[2].partition(END)[0].strip().splitlines()
    found = []
    for line in lines[2:]:
        row = re.fullmatch(r"\| (.+): `(.+)` \| (\w+): (.+) \|", line)
        assert row, f"not of the form | words: `call` | kind: sentence |: {line}"
        found.append(tuple(map(html.unescape, row.groups())))
    return found


# ---------------------------------------------------------------------------------------------
# What is at hand


@pytest.fixture
def files(tmp_path, monkeypatch):
    """A folder with files that are not what they should be, as the current one."""
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    Path("mixed").mkdir()
    photo = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 255, (90, 120, 3), dtype="uint8")
    Image.fromarray(noise).save(photo, "jpeg")
    Path("mixed/good.jpg").write_bytes(photo.getvalue())
    for folder in ("mixed", "."):
        Path(folder, "cut.jpg").write_bytes(photo.getvalue()[:2000])
    for name in ("good/a.jpg", "good/b.jpg", "odd/a.jpg", "odd/c.dng", "numbered/0/a.jpg",
                 "numbered/1/b.jpg", "other/a.jpg", "other/c.jpg.crdownload",
                 "accents/Kätzchen.jpg"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(photo.getvalue())
    Path("odd/b.svg").write_text("<svg/>")
    Path("text.png").write_text("not a picture")
    for name, content in (("film.mp4", b"\0\0\0\x20ftypisom"), ("album.zip", b"PK\x03\x04"),
                          ("other/film.MOV", b"\0\0\0\x14ftypqt  "), ("other/b.zip", b"PK\x03\x04"),
                          ("other/page.pdf", b"%PDF-1.4")):
        Path(name).write_bytes(content)
    Path("cp1252.csv").write_bytes("file;label\nKätzchen.jpg;281\n".encode("cp1252"))
    for name, values in (("scaled.tif", np.linspace(0, 1, 64, dtype="float32")),
                         ("negative.tif", np.linspace(-40, 90, 64, dtype="float32")),
                         ("holes.tif", np.full(64, np.nan, "float32")),
                         ("deep.tif", np.linspace(0, 60_000, 64, dtype="int32")),
                         ("dark.png", np.linspace(0, 1020, 64).astype("uint16"))):
        Image.fromarray(values.reshape(8, 8)).save(name)
    Path("cut.xml").write_text("<testsuite><testcase")
    header = b"IHDR" + struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0)
    Path("bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header
                                 + struct.pack(">I", zlib.crc32(header)) + bytes(4) + b"IDAT"
                                 + struct.pack(">I", zlib.crc32(b"IDAT")))
    Path("damaged.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    with h5py.File("other.h5", "w") as other:
        other["stem/kernel:0"] = np.zeros((3, 3, 3, 8), "float32")
    Path("hostile.pth").write_bytes(b"\x80\x02cos\nsystem\nX\x02\0\0\0ls\x85R.")
    return tmp_path


def mine(request):
    """The tiny VGG with a filter that is dead: its answer is −1 whatever it sees."""
    tiny = request.getfixturevalue("tiny")
    dead = tiny.model.get_layer("block2_conv1")
    kernel, bias = dead.get_weights()
    kernel[..., 0], bias[0] = 0, -1
    dead.set_weights([kernel, bias])
    return tiny


def two_inputs():
    """A model of two pictures."""
    two = [keras.Input((8, 8, 3)) for _ in range(2)]
    return keras.Model(two, keras.layers.Add()(two), name="two_inputs")


def two_outputs():
    """A model that gives back its input as well."""
    one = keras.Input((8, 8, 3))
    return keras.Model(one, [one, keras.layers.ReLU()(one)], name="two_outputs")


def grey():
    """A model of pictures without colours."""
    one = keras.Input((8, 8, 1))
    return keras.Model(one, keras.layers.ReLU()(one), name="grey")


def unbuilt():
    """A Sequential that no picture has gone through."""
    return keras.Sequential([keras.layers.Conv2D(2, 3)], name="unbuilt")


class Subclassed(keras.Model):
    """A model whose layers are joined in Python code."""

    def call(self, images):
        return images


def stop(step, pictures):
    """What pressing stop does to an ascent."""
    raise KeyboardInterrupt


def ten_classes():
    """A classifier of ten classes that takes pictures of 32 px."""
    inputs = keras.Input((32, 32, 3))
    maps = keras.layers.Conv2D(4, 3, name="conv")(inputs)
    found = keras.layers.Dense(10, activation="softmax")(
        keras.layers.GlobalAveragePooling2D()(maps))
    return vz.as_network(keras.Model(inputs, found, name="ten"), head="original")


def half_precision():
    """A model as Keras builds it under a global policy of mixed precision."""
    inputs = keras.Input((8, 8, 3))
    layer = keras.layers.Conv2D(2, 3, name="conv", dtype="mixed_float16")
    return keras.Model(inputs, layer(inputs), name="half")


def two_of_noise():
    return np.random.default_rng(0).uniform(0, 255, (2, 64, 64, 3)).astype("float32")


AT_HAND = {module.__name__.rpartition(".")[2]: module for module in (
    adversarial, analysis, architectures, attribution, circuits, dashboard, deconvnet, deepdream,
    faithfulness, fetch, grade, inversion, report, reports, restricted_pickle, silencing, stimuli)}
AT_HAND |= {"np": np, "pd": pd, "vz": vz, "stop": stop}
#: What takes time to make, made only for the rows that name it.
MADE = {
    "net": lambda request: request.getfixturevalue("vgg16"),
    "pictures": lambda request: request.getfixturevalue("pictures"),
    "mine": mine,
    "noise": lambda request: two_of_noise(),
    "small": lambda request: vz.ImageSet(("a", "b"), np.array([-1, -1]), 64, two_of_noise()),
    "two_inputs": lambda request: two_inputs(), "two_outputs": lambda request: two_outputs(),
    "ten": lambda request: ten_classes(), "grey": lambda request: grey(),
    "unbuilt": lambda request: unbuilt(),
    "subclassed": lambda request: Subclassed(name="subclassed"),
    "half": lambda request: half_precision(),
}


def names_in(call, request):
    """The names that a row's call may use, as far as it does."""
    return AT_HAND | {name: make(request) for name, make in MADE.items()
                      if re.search(rf"\b{name}\b", call)}


# ---------------------------------------------------------------------------------------------
# Troubles that must be arranged

CONTENT = b"0123456789" * 100


def toy(monkeypatch, address):
    """A source "toy" at an address, alone in an empty cache."""
    monkeypatch.delenv("VIZUTILS_OFFLINE", raising=False)
    monkeypatch.setenv("VIZUTILS_DATA", os.path.abspath("cache"))
    monkeypatch.setattr(fetch, "_unreachable", set())
    monkeypatch.setattr(fetch, "SOURCES", Path("sources.toml"))
    digest = fetch.hashlib.sha256(CONTENT).hexdigest()
    fetch.SOURCES.write_text(f'[source.toy]\nkind = "url"\naddress = "{address}"\n'
                             f'file = "toy.bin"\nsize = {len(CONTENT)}\nsha256 = "{digest}"\n')


def serve(monkeypatch, content):
    Path("served").write_bytes(content)
    toy(monkeypatch, Path("served").absolute().as_uri())


def disk_full(monkeypatch):
    def full(*paths):
        raise OSError(errno.ENOSPC, "No space left on device")

    serve(monkeypatch, CONTENT)
    monkeypatch.setattr(fetch.os, "replace", full)


def no_folder(monkeypatch):
    serve(monkeypatch, CONTENT)
    Path("file").write_text("not a folder")
    monkeypatch.setenv("VIZUTILS_DATA", "file/cache")


def offline(monkeypatch):
    monkeypatch.setenv("VIZUTILS_OFFLINE", "1")


def offline_and_empty(monkeypatch):
    offline(monkeypatch)
    monkeypatch.setenv("VIZUTILS_DATA", "cache")


def drip(monkeypatch):
    """A server that sends a byte now and then: the minute is made half a second."""
    server = socket.create_server(("127.0.0.1", 0))
    toy(monkeypatch, f"http://127.0.0.1:{server.getsockname()[1]}/toy.bin")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(fetch, "RATE_SECONDS", 0.5)

    def answer():
        with server, server.accept()[0] as connection, contextlib.suppress(OSError):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
            for _ in range(100):
                connection.sendall(b"0")
                time.sleep(0.1)

    threading.Thread(target=answer, daemon=True).start()


SITUATIONS = {
    "a server that sends a byte now and then": drip,
    "no internet": lambda monkeypatch: toy(monkeypatch, "http://127.0.0.1:9/toy.bin"),
    "a download that breaks off": lambda monkeypatch: serve(monkeypatch, CONTENT[:600]),
    "a download altered on its way": lambda monkeypatch: serve(monkeypatch, CONTENT[::-1]),
    "a full disk": disk_full,
    "a folder for downloads that cannot be": no_folder,
    "`VIZUTILS_OFFLINE=1` and nothing here yet": offline_and_empty,
    "`VIZUTILS_OFFLINE=1`, weights left to choice": offline,
}


# ---------------------------------------------------------------------------------------------
# The rows


def happened(call, names):
    """What a call says, by kind: a list of sentences each."""
    said, printed = {}, io.StringIO()
    with warnings.catch_warnings(record=True) as caught, redirect_stdout(printed):
        warnings.simplefilter("always")
        try:
            said["result"] = [str(eval(call, dict(names)))]
        except (Exception, SystemExit, vz.Interrupted) as problem:
            said[type(problem).__name__] = [str(problem)]
    said["warning"] = [str(warning.message) for warning in caught]
    said["printed"] = printed.getvalue().splitlines()
    return said


@pytest.mark.parametrize(("words", "call", "kind", "sentence"), rows(),
                         ids=[words for words, *_ in rows()])
def test_what_happens_when(words, call, kind, sentence, files, request, monkeypatch):
    names = names_in(call, request)
    SITUATIONS.get(words, lambda monkeypatch: None)(monkeypatch)
    said = happened(call, names)
    wanted = ".*".join(map(re.escape, sentence.split("…")))
    assert any(re.fullmatch(wanted, one, re.DOTALL) for one in said.get(kind, [])), said


def test_the_table_is_complete():
    found = rows()
    words = [row[0] for row in found]
    assert len(found) >= 50 and len(set(words)) == len(words)
    assert set(SITUATIONS) <= set(words)  # a renamed row would lose its situation
    assert all(kind in KINDS or kind.endswith("Error") for _, _, kind, _ in found)
    for _, _, kind, sentence in found:  # an error is a sentence, not a word
        assert kind == "result" or (sentence.endswith((".", "…")) and len(sentence.split()) > 4)
