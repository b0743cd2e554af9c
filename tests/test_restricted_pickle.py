"""The restricted unpickler: right about strides, deaf to everything but weights."""

import hashlib
import pickle

import numpy as np
import pytest

from data.fetch import fetch
from data.restricted_pickle import FORMAT_VERSION, MAGIC_NUMBER, WeightsFileError, read_tensors

HEADER = b"".join(
    pickle.dumps(part, 2) for part in (MAGIC_NUMBER, FORMAT_VERSION, {"little_endian": True})
)
EMPTY_DICTIONARY = b"ccollections\nOrderedDict\n)R"


def plain(value):
    """The opcodes that put a plain value on the stack, without frame and end."""
    return pickle.dumps(value, 2)[2:-1]


def tensor(length, *, offset=0, size, strides):
    """The opcodes of one float tensor in a storage called "s"."""
    storage = (b"(" + plain("storage") + b"ctorch\nFloatStorage\n" + plain("s") + plain("cpu")
               + plain(length) + b"NtQ")
    return (b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + plain(offset) + plain(size)
            + plain(strides) + b"\x89" + EMPTY_DICTIONARY + b"tR")


def legacy_file(numbers, opcodes):
    """A whole file that holds `numbers` and one entry "t" made by `opcodes`."""
    numbers = np.asarray(numbers, "<f4")
    entry = b"\x80\x02" + EMPTY_DICTIONARY + plain("t") + opcodes + b"s."
    length = len(numbers).to_bytes(8, "little")
    return HEADER + entry + pickle.dumps(["s"], 2) + length + numbers.tobytes()


@pytest.fixture
def read(tmp_path):
    """Write bytes to a file and read its tensors."""
    def write_and_read(content):
        path = tmp_path / "weights.pth"
        path.write_bytes(content)
        return read_tensors(path)
    return write_and_read


def test_strides_offset_and_shape_are_honoured(read):
    numbers = np.arange(30)
    transposed = tensor(30, offset=2, size=(3, 2, 4), strides=(1, 12, 3))
    expected = numbers[2:26].reshape(2, 4, 3).transpose(2, 0, 1)
    found = read(legacy_file(numbers, transposed))["t"]
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == np.float32 and found.flags.c_contiguous and found.flags.writeable


def test_a_single_number_and_an_empty_tensor(read):
    assert read(legacy_file([7, 8], tensor(2, offset=1, size=(), strides=())))["t"] == 8
    empty = read(legacy_file([7], tensor(1, size=(0, 3), strides=(3, 1))))["t"]
    assert empty.shape == (0, 3)


@pytest.mark.parametrize("name", [
    "os system", "builtins eval", "builtins getattr", "collections defaultdict",
    "torch nn.Module", "torch.serialization load", "numpy load", "data.restricted_pickle np.load",
])
def test_any_other_name_is_refused_and_nothing_runs(read, tmp_path, name):
    module, attribute = name.split()
    proof = tmp_path / "it_ran"
    call = f"c{module}\n{attribute}\n(".encode() + plain(f"touch {proof}") + b"tR"
    with pytest.raises(WeightsFileError, match=f"asks for '{module}.{attribute}'.*refused"):
        read(legacy_file([1], call))
    assert not proof.exists()


class Hostile:
    """Pickles as a call of exec, as an attacker would have it."""

    def __reduce__(self):
        return exec, ("raise SystemExit('the pickle ran code')",)


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_hostile_pickles_are_refused_in_every_part_of_the_file(read, protocol):
    hostile = pickle.dumps(Hostile(), protocol)
    good_object = legacy_file([1], tensor(1, size=(1,), strides=(1,)))
    end_of_object = good_object.rindex(pickle.dumps(["s"], 2))
    for content in (hostile, HEADER + hostile, good_object[:end_of_object] + hostile):
        with pytest.raises(WeightsFileError, match="exec.*refused"):
            read(content)


def test_a_file_cut_anywhere_is_refused_in_a_sentence(read):
    whole = legacy_file(range(6), tensor(6, size=(2, 3), strides=(3, 1)))
    for end in range(len(whole)):
        with pytest.raises(WeightsFileError, match=r"weights\.pth.*\."):
            read(whole[:end])


@pytest.mark.parametrize("opcodes", [
    tensor(4, size=(5,), strides=(1,)),
    tensor(4, size=(2, 2), strides=(3, 1)),
    tensor(4, offset=-1, size=(2,), strides=(1,)),
    tensor(4, offset=3, size=(4,), strides=(-1,)),
    tensor(4, size=(10**6, 10**6), strides=(0, 0)),
    tensor(9, size=(4,), strides=(1,)),
    tensor(4, size=(4,), strides=(1, 1)),
    plain("no tensor"),
])
def test_tensors_that_do_not_fit_their_storage_are_refused(read, opcodes):
    with pytest.raises(WeightsFileError):
        read(legacy_file(range(4), opcodes))


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 a zip", b"\x89HDF\r\n", b"<html>"])
def test_other_formats_are_refused(read, content):
    with pytest.raises(ValueError, match="not a legacy PyTorch weights file"):
        read(content)


def test_efficientnet_tensors_are_those_that_pytorch_reads():
    """Names, shapes, dtypes and numbers were compared with torch.load (torch 2.13) once."""
    tensors = read_tensors(fetch("efficientnet-lite0"))
    assert len(tensors) == 296
    assert tensors["_fc.weight"].shape == (1000, 1280)
    digest = hashlib.sha256()
    for name, array in tensors.items():
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode() + array.tobytes())
    assert digest.hexdigest() == "5cd1277bb2fa700432e06715d2cd971cdb459ad8db4dad7c2da41bec008d9700"
