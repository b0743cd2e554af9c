"""Weights that lie: flipped bytes, hostile pickles, tricky archives. VIZUTILS_LONG=1: more bytes.

A pickle is a program; each one here would leave a file behind if a single step of it ran.
"""

import copyreg
import os
import pickle
import shutil
import stat
import struct
import time
import zipfile
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from data import fetch, weights
from data.restricted_pickle import FORMAT_VERSION, MAGIC_NUMBER, WeightsFileError, read_tensors

FLIPS = 150 if "VIZUTILS_LONG" in os.environ else 8  # a file
HEADER = b"".join(
    pickle.dumps(part, 2) for part in (MAGIC_NUMBER, FORMAT_VERSION, {"little_endian": True}))


# ---------------------------------------------------------------------------------------------
# Flipped bytes


def places(length, count):
    """Both ends of a file and a seeded sample of positions between them."""
    drawn = np.random.default_rng(0).integers(length, size=count - 2)
    return [0, length - 1, *drawn.tolist()]


class Flipped:
    """Turn one bit of a file for as long as the block lasts."""

    def __init__(self, path, place, bit):
        self.path, self.place, self.bit = path, place, bit

    def __enter__(self):
        self.turn()

    def __exit__(self, *error):
        self.turn()

    def turn(self):
        with open(self.path, "r+b") as file:
            file.seek(self.place)
            (byte,) = file.read(1)
            file.seek(self.place)
            file.write(bytes([byte ^ 1 << self.bit]))


@pytest.mark.parametrize("name", ["vgg16-trunk", "efficientnet-lite0"])
def test_every_flip_in_a_fetched_file_is_caught(tmp_path, name):
    ((path, pinned),) = fetch._files(name).items()
    fetch.fetch(name)
    copy = shutil.copy(path, tmp_path)
    assert fetch._is_intact(Path(copy), pinned)
    for i, place in enumerate(places(pinned["size"], FLIPS)):
        with Flipped(copy, place, i % 8):
            assert not fetch._is_intact(Path(copy), pinned), place
    assert fetch._is_intact(Path(copy), pinned)


def test_no_flip_in_the_converted_file_gives_other_weights(tmp_path):
    """In the numbers every flip is seen; in HDF5's own tables, some touch nothing that is read."""
    weights.vgg16_arrays()
    copy = Path(shutil.copy(fetch.cache_dir() / weights.CONVERTED, tmp_path / "copy.h5"))
    length = copy.stat().st_size
    kernel = weights._read_h5(copy)["block4_conv2"][0].tobytes()
    start = copy.read_bytes().index(kernel[:64])  # stored in one piece
    inside = [start + place for place in places(len(kernel), FLIPS)]
    for i, place in enumerate([*inside, *places(4096, FLIPS), *places(length, FLIPS)]):
        with Flipped(copy, place, i % 8):
            try:
                sound = weights.is_imagenet_trunk(weights._read_h5(copy))
            except ValueError as problem:
                assert "copy.h5" in str(problem)
                sound = False
            assert not (sound and i < FLIPS), place  # where `sound`, all 13 digests are right


# ---------------------------------------------------------------------------------------------
# Hostile pickles


def plain(value):
    """The opcodes that put a plain value on the stack, without frame and end."""
    return pickle.dumps(value, 2)[2:-1]


def short(text):
    return b"\x8c" + bytes([len(text)]) + text.encode()


class Reduced:
    """Pickles as whatever `__reduce__` is to return."""

    def __init__(self, *parts):
        self.parts = parts

    def __reduce__(self):
        return self.parts


def corpus(proof):
    """Hostile programs by name; each would make the file `proof`."""
    shell, code = f"touch {proof}", f"open({str(proof)!r}, 'w')"
    inner = pickle.dumps(Reduced(os.system, (shell,)), 2)
    call = plain(shell) + b"\x85R"  # ... applied to what lies below
    found = {
        "os.system": b"cos\nsystem\n" + call,
        "posix.system": b"cposix\nsystem\n" + call,
        "builtins.eval": b"cbuiltins\neval\n" + plain(code) + b"\x85R",
        "__builtin__.exec": b"c__builtin__\nexec\n" + plain(code) + b"\x85R",
        "builtins.__import__": b"cbuiltins\n__import__\n" + plain("os") + b"\x85R",
        "subprocess.Popen": b"csubprocess\nPopen\n" + plain(["touch", str(proof)]) + b"\x85R",
        "pickle.loads": b"cpickle\nloads\n" + plain(inner) + b"\x85R",
        "runpy": b"crunpy\n_run_code\n" + plain(code) + b"}\x86R",
        "getattr chain": (b"cbuiltins\ngetattr\ncbuiltins\n__import__\n" + plain("os") + b"\x85R"
                          + plain("system") + b"\x86R" + call),
        "attrgetter": b"coperator\nattrgetter\n" + plain("system") + b"\x85R" + call,
        "numpy's own eval": b"cnumpy.testing._private.utils\nrunstring\n" + plain(code) + b"}\x86R",
        "torch.load": b"ctorch\nload\n" + plain(str(proof)) + b"\x85R",
        "stack_global": short("os") + short("system") + b"\x93" + call,
        "stack_global by memo": (short("system") + b"\x94" + short("os") + b"\x940"
                                 + b"0" + b"h\x01h\x00\x93" + call),
        "stack_global of no strings": b"}}\x93" + call,
        "dotted in an admitted module": (short("collections") + short("OrderedDict.__init__")
                                         + b"\x93" + call),
        "module in a module": short("collections") + short("_sys.modules") + b"\x93" + call,
        "class of an admitted name": b"ctorch\nFloatStorage.__class__\n" + call,
        "memo overwritten": (b"ccollections\nOrderedDict\nq\x000cos\nsystem\nq\x000h\x00" + call),
        "inst": b"(" + plain(shell) + b"ios\nsystem\n",
        "obj": b"(cos\nsystem\n" + plain(shell) + b"o",
        "newobj": b"csubprocess\nPopen\n" + plain(shell) + b"\x85\x81",
        "newobj_ex": b"csubprocess\nPopen\n" + plain(shell) + b"\x85}\x92",
        "newobj of an admitted class": (b"ccollections\nOrderedDict\n)\x81" + b"cos\nsystem\nb"),
        "build that replaces a method": (b"ccollections\nOrderedDict\n)R}" + plain("items")
                                         + b"cos\nsystem\nsb"),
        "build with a setter": (b"ccollections\nOrderedDict\n)R}" + plain("__setstate__")
                                + b"cos\nsystem\nsb" + plain(shell) + b"b"),
        "build on the class itself": (b"ccollections\nOrderedDict\nN}" + plain("fromkeys")
                                      + plain("x") + b"s\x86b"),
        "build on the function": (b"ctorch._utils\n_rebuild_tensor_v2\nN}" + plain("__code__")
                                  + plain("x") + b"s\x86b"),
        "a string called": b"ctorch\nFloatStorage\n" + call,
        "extension": b"\x82\xf0" + call,
        "persistent name": b"Pos.system\n",
        "persistent call": plain(shell) + b"Q",
        "persistent of six": plain(("storage", shell, [], "cpu", 1, None)) + b"Q",
        "storage of objects": (b"(" + plain("storage") + plain("O") + plain("s") + plain("cpu")
                               + plain(1) + b"NtQ"),
        "out-of-band buffer": b"\x97",
        "list with a call in it": b"]" + b"cos\nsystem\n" + call + b"a",
        "key with a call in it": b"}" + b"cos\nsystem\n" + call + b"Ns",
        "call after a good object": b"}0" + b"cos\nsystem\n" + call,
        # made to exhaust: each would take gigabytes, or the interpreter's stack
        "memo of 16 GB": b"Nr\xff\xff\xff\x7f",
        "memo of 16 GB in words": b"Np2147483647\n",
        "frame of 2**40": b"\x95" + struct.pack("<Q", 2**40) + b"N",
        "bytes of 2**60": b"\x8e" + struct.pack("<Q", 2**60) + b"N",
        "bytearray of 2**60": b"\x96" + struct.pack("<Q", 2**60) + b"N",
        "text of 2**60": b"\x8d" + struct.pack("<Q", 2**60) + b"N",
        "number of 2 GB": b"\x8b\xff\xff\xff\x7fN",
        "number of a million digits": b"L" + b"9" * 10**6 + b"L\n",
        "a million nested keys": b"})" + b"\x85" * 10**6 + b"Ns",
        "a million marks": b"(" * 10**6,
        "nothing on the stack": b"R",
    }
    setter = Reduced(list, (), None, None, None, os.system)
    for protocol in (0, 1, 2, 3, 4, 5):
        for name, hostile in {"reduce": Reduced(os.system, (shell,)),
                              "nested reduce": Reduced(partial, (os.system, shell)),
                              "reduce in a reduce": Reduced(list, (Reduced(eval, (code,)),)),
                              "own setter": setter}.items():
            found[f"{name}, protocol {protocol}"] = pickle.dumps(hostile, protocol)[:-1]
    return {name: program if program[:1] == b"\x80" else b"\x80\x04" + program
            for name, program in found.items()}


PLACES = {  # where in a legacy file a program may stand
    "first": b"",
    "machine": HEADER[: -len(pickle.dumps({"little_endian": True}, 2))],
    "object": HEADER,
    "keys": HEADER + pickle.dumps({}, 2),
}


@pytest.fixture
def extension():
    """The extension code 240 as os.system, as some other library might register it."""
    copyreg.add_extension("os", "system", 240)
    yield
    copyreg.remove_extension("os", "system", 240)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", corpus(Path("x")))
def test_a_hostile_pickle_is_refused_and_not_a_step_of_it_run(tmp_path, extension, name, place):
    proof, path = tmp_path / "it_ran", tmp_path / "weights.pth"
    program = corpus(proof)[name]
    path.write_bytes(PLACES[place] + program + b".")
    began = time.monotonic()
    with pytest.raises(WeightsFileError, match=r"^weights\.pth.*\.$"):
        read_tensors(path)
    assert time.monotonic() - began < 5
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["os.system", "nested reduce, protocol 2", "build with a setter"])
def test_the_corpus_is_armed(tmp_path, name):
    """Python's own unpickler would run it: else the refusals above show nothing."""
    proof = tmp_path / "it_ran"
    try:
        loaded = pickle.loads(corpus(proof)[name] + b".")
        if isinstance(loaded, partial):
            loaded()
    except Exception:  # armed all the same: it called what it should not
        pass
    assert proof.exists()


@pytest.mark.parametrize("name", ["memo of 16 GB", "memo of 16 GB in words",
                                  "a million nested keys"])
def test_what_would_end_python_is_stopped_before_it_is_loaded(tmp_path, name):
    path = tmp_path / "weights.pth"
    path.write_bytes(HEADER + corpus("x")[name] + b".")
    with pytest.raises(WeightsFileError, match="wants more memory"):
        read_tensors(path)


def test_a_lie_about_the_numbers_length_is_refused(tmp_path):
    storage = b"(" + plain("storage") + b"ctorch\nFloatStorage\n" + plain("s") + plain("cpu")
    for length in (2**62, 2**40, -1):
        tensor = (b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + plain(length) + b"NtQ"
                  + plain(0) + plain((length,)) + plain((1,)) + b"\x89}tR")
        entry = b"\x80\x02}" + plain("t") + tensor + b"s."
        path = tmp_path / "weights.pth"
        path.write_bytes(HEADER + entry + pickle.dumps(["s"], 2)
                         + length.to_bytes(8, "little", signed=True) + b"1234")
        with pytest.raises(WeightsFileError, match=r"weights\.pth"):
            read_tensors(path)


# ---------------------------------------------------------------------------------------------
# Tricky archives


@pytest.fixture
def wheel(tmp_path):
    """A wheel that holds one member it should, and whatever else an attacker would add."""
    path = tmp_path / "toy.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("../outside", f"{tmp_path}/outside", "a/../../../outside",
                     "..\\outside", "C:\\outside"):
            archive.writestr(name, "outside")
        link = zipfile.ZipInfo("good/link")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, str(tmp_path / "outside"))
        archive.writestr("good/member.bin", "right")
    return path


def unpack(wheel, cache, *members):
    """Unpack members as the fetcher does, given them as sources.toml would."""
    cache.mkdir(exist_ok=True)
    fetch._unpack(wheel, {cache / Path(name).name: {"path": name} for name in members})
    return {path.name: path for path in cache.iterdir()}


def test_only_the_members_asked_for_leave_an_archive(tmp_path, wheel):
    found = unpack(wheel, tmp_path / "cache", "good/member.bin")
    assert list(found) == ["member.bin"] and found["member.bin"].read_text() == "right"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "toy.whl"]


@pytest.mark.parametrize("member", ["../outside", "a/../../../outside", "good/link"])
def test_even_a_member_with_a_tricky_name_stays_inside(tmp_path, wheel, member):
    found = unpack(wheel, tmp_path / "cache", member)
    assert list(found) == [Path(member).name]
    assert all(path.is_file() and not path.is_symlink() for path in found.values())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "toy.whl"]


def test_a_link_in_place_of_a_cached_file_is_replaced_and_not_followed(tmp_path, wheel):
    outside, cache = tmp_path / "precious", tmp_path / "cache"
    outside.write_text("precious")
    cache.mkdir()
    (cache / "member.bin").symlink_to(outside)
    unpack(wheel, cache, "good/member.bin")
    assert outside.read_text() == "precious"
    assert (cache / "member.bin").read_text() == "right"
