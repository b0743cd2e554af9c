"""Damaged and malicious picture files: each gives a picture or a sentence, soon and in little room.

The files are read in a process of their own, which may not grow by 1 GB and is stopped when one
file costs five seconds of the processor. 200 damaged files; with VIZUTILS_LONG=1, 2,400.
"""

import io
import json
import os
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import vizutils as vz

resource = pytest.importorskip("resource")  # limits; not on Windows

LONG = "VIZUTILS_LONG" in os.environ
CASES = 2400 if LONG else 200
SECONDS, BYTES = 5, 10**9
SIZES = (None, 8, 224)  # whole; as load_images checks; as it is used


# ---------------------------------------------------------------------------------------------
# The files


def originals():
    """Small sound files by name: every container, and what in it has a decoder of its own."""
    rng = np.random.default_rng(0)
    smooth = np.cumsum(rng.normal(0, 4, (48, 64, 4)), axis=1) + 128
    pixels = np.clip(smooth, 0, 255).astype("uint8")
    rgb, rgba = Image.fromarray(pixels[..., :3]), Image.fromarray(pixels)
    deep = Image.fromarray(pixels[..., 0].astype("uint16") * 257)
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "turned"
    palette = rgb.convert("P", palette=Image.Palette.ADAPTIVE)
    saved = {
        "baseline.jpg": (rgb, {"exif": exif}), "progressive.jpg": (rgb, {"progressive": True}),
        "cmyk.jpg": (rgb.convert("CMYK"), {}), "rgb.png": (rgb, {}), "alpha.png": (rgba, {}),
        "deep.png": (deep, {}), "palette.png": (palette, {"transparency": 3}),
        "lossy.webp": (rgb, {"exif": exif}), "lossless.webp": (rgba, {"lossless": True}),
        "moving.webp": (rgb, {"save_all": True, "append_images": [rgb.rotate(90)]}),
        "still.gif": (palette, {}),
        "moving.gif": (palette, {"save_all": True, "append_images": [palette.rotate(90)]}),
    }
    return {name: encoded(picture, name, **options) for name, (picture, options) in saved.items()}


def encoded(picture, name, **options):
    buffer = io.BytesIO()
    picture.save(buffer, {"jpg": "jpeg"}.get(name[-3:], name.rpartition(".")[2]), **options)
    return buffer.getvalue()


def damaged(content, rng, *, png=False):
    """A file cut short, or with one to eight bits turned; half of the turned PNGs as if sound."""
    if rng.random() < 0.3:
        return content[: rng.integers(len(content))]
    turned = bytearray(content)
    reach = len(content) if rng.random() < 0.6 else min(96, len(content))  # headers, more often
    for place in rng.integers(reach, size=rng.integers(1, 9)):
        turned[place] ^= 1 << rng.integers(8)
    return with_right_checksums(bytes(turned)) if png and rng.random() < 0.5 else bytes(turned)


def with_right_checksums(content):
    """A PNG whose chunks' checksums fit what they hold, so that damage reaches the decoder."""
    fixed, place = bytearray(content), 8
    while place + 12 <= len(content):
        length = int.from_bytes(content[place : place + 4])
        end = place + 8 + length
        if end + 4 > len(content):
            break
        fixed[end : end + 4] = struct.pack(">I", zlib.crc32(content[place + 4 : end]))
        place = end + 4
    return bytes(fixed)


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(
        ">I", zlib.crc32(kind + content))


def png(width, height, data=b"", *, depth=1, colour=0, extra=b""):
    """A PNG by hand: grey, one bit a pixel, whatever its data."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra
            + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b""))


def profile_bomb():
    """An iCCP chunk that unfolds to 200 MB."""
    packer, zeros = zlib.compressobj(9), bytes(10**6)
    packed = b"".join(packer.compress(zeros) for _ in range(200)) + packer.flush()
    return png(1, 1, b"\0\0", extra=chunk(b"iCCP", b"x\0\0" + packed))


def jpeg(width, height, *, progressive):
    """A JPEG that claims a size in its frame header and then ends."""
    content = bytearray(encoded(Image.new("RGB", (8, 8)), "a.jpg", progressive=progressive))
    frame = content.index(b"\xff\xc2" if progressive else b"\xff\xc0")
    content[frame + 5 : frame + 9] = struct.pack(">HH", height, width)
    return bytes(content)


def webp(side):
    """A WebP with an extended header that claims a canvas of side × side."""
    canvas = b"\x10\0\0\0" + 2 * (side - 1).to_bytes(3, "little")
    still = encoded(Image.new("RGB", (8, 8)), "a.webp")[12:]
    body = b"WEBP" + b"VP8X" + struct.pack("<I", len(canvas)) + canvas + still
    return b"RIFF" + struct.pack("<I", len(body)) + body


def gif(side):
    content = bytearray(encoded(Image.new("P", (8, 8)), "a.gif"))
    content[6:10] = struct.pack("<HH", side, side)
    return bytes(content)


REFUSED = {  # what must not be decoded, however small the file
    "header.png": lambda: png(2**31 - 1, 2**31 - 1),
    "unnoticed_by_pillow.png": lambda: png(13_000, 13_000, bytes(1626 * 13_000)),  # 50 kB
    "header.gif": lambda: gif(65_535),
    "header.webp": lambda: webp(16_383),
    "header.jpg": lambda: jpeg(65_500, 65_500, progressive=False),
    "held_whole.jpg": lambda: jpeg(12_000, 12_000, progressive=True),
}
HARMLESS = {  # odd, but a picture or a sentence must come of them
    "profile.png": profile_bomb,
    "line.png": lambda: png(60_000, 1, bytes(7501)),
    "column.png": lambda: png(1, 60_000, bytes(120_000)),
}
LARGEST = {  # as many pixels as are let through; in the long run only
    "alpha.png": lambda: encoded(Image.new("RGBA", (7200, 5000), (9, 8, 7, 6)), "a.png"),
    "deep.png": lambda: encoded(Image.new("I;16", (7200, 5000), 999), "a.png"),
    "palette.gif": lambda: encoded(Image.new("P", (7200, 5000), 3), "a.gif", transparency=3),
    "lossless.webp": lambda: encoded(Image.new("RGBA", (7200, 5000), (9, 8, 7, 6)), "a.webp",
                                     lossless=True, method=0),
    "progressive.jpg": lambda: encoded(Image.new("RGB", (7200, 5000)), "a.jpg", progressive=True,
                                       subsampling=0),
}


def cases():
    """Yield (group, name, content) of every case, the same ones every time."""
    for group in (REFUSED, HARMLESS, LARGEST if LONG else {}):
        which = {id(REFUSED): "refused", id(HARMLESS): "harmless"}.get(id(group), "largest")
        for name, make in group.items():
            yield which, name, make()
    sound = originals()
    for name, content in sound.items():
        yield "sound", name, content
    for i in range(CASES):
        name = list(sound)[i % len(sound)]
        yield "damaged", f"{i}_{name}", damaged(
            sound[name], np.random.default_rng(i), png=name.endswith("png"))


# ---------------------------------------------------------------------------------------------
# The process that reads them


def read_all(folder):
    """Read every case under limits and print a line of JSON for each; the child's whole work."""
    import signal

    with open("/proc/self/statm") as file:
        now = int(file.read().split()[0]) * resource.getpagesize()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    room = now + 2 * BYTES  # addresses, of which not all are used: so far it must not even try
    resource.setrlimit(resource.RLIMIT_AS, (room, room))
    for i, (group, name, content) in enumerate(cases()):
        path = Path(folder, name)
        path.write_bytes(content)
        print(json.dumps({"about": name}), flush=True)  # the last one is the culprit, if we die
        sizes = SIZES if group != "damaged" else SIZES[i % 3 : i % 3 + 1]
        for size in sizes:
            signal.setitimer(signal.ITIMER_PROF, SECONDS)  # unhandled, it ends the process
            began = time.process_time()
            try:
                image = vz.read_image(path, size=size)
                came = f"{image.dtype} {image.shape} {image.min() >= 0 and image.max() <= 255}"
                del image
            except ValueError as problem:
                came = str(problem)
            seconds = time.process_time() - began
            signal.setitimer(signal.ITIMER_PROF, 0)
            print(json.dumps({"group": group, "name": name, "size": size, "came": came,
                              "seconds": seconds}), flush=True)
        path.unlink()
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(json.dumps({"grown": grown * 1024}), flush=True)


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """What came of each case: rows by group, and how much the process grew."""
    if not Path("/proc/self/statm").exists():
        pytest.skip("the room a process takes is read from /proc")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", __file__, tmp_path_factory.mktemp("fuzz")],
        capture_output=True, text=True, timeout=1800 if LONG else 600)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, f"at {rows[-1:]}: {done.stderr[-2000:]}"
    found = {"grown": rows[-1]["grown"]}
    for row in rows:
        if "group" in row:
            found.setdefault(row["group"], []).append(row)
    return found


# ---------------------------------------------------------------------------------------------
# What must hold


def is_picture(row):
    """Whether an RGB picture within 0-255, of the size asked for, came of a case."""
    side = row["size"]
    shape = f"({side}, {side}, 3)" if side else ""
    return row["came"].startswith(f"float32 {shape}") and row["came"].endswith(", 3) True")


def is_sentence(row):
    """Whether a refusal came that names the file and what helps."""
    return row["name"] in row["came"] and row["came"].endswith(
        ("leave it out.", "million pixels."))


def test_sound_files_are_read(seen):
    assert len(seen["sound"]) == 12 * len(SIZES)
    assert [row for row in seen["sound"] if not is_picture(row)] == []


def test_a_damaged_file_gives_a_picture_or_a_sentence(seen):
    assert len(seen["damaged"]) == CASES
    assert [row for row in seen["damaged"] if not is_picture(row) and not is_sentence(row)] == []
    kinds = {name[-3:] for name in originals()}
    for kind in kinds:  # both happen to every format, or the damage is none, or too gross
        outcomes = {is_picture(row) for row in seen["damaged"] if row["name"].endswith(kind)}
        assert outcomes == {True, False}, kind


def test_decompression_bombs_are_refused_before_they_unfold(seen):
    assert len(seen["refused"]) == len(REFUSED) * len(SIZES)
    for row in seen["refused"]:
        assert "too large to be decoded safely" in row["came"], row
        assert row["seconds"] < 2, row


def test_lines_of_pixels_and_swollen_profiles_do_no_harm(seen):
    assert len(seen["harmless"]) == len(HARMLESS) * len(SIZES)
    for row in seen["harmless"]:
        assert is_picture(row) or is_sentence(row), row
    assert all(is_picture(row) for row in seen["harmless"] if row["name"] != "profile.png")


@pytest.mark.skipif(not LONG, reason="seconds a picture; VIZUTILS_LONG=1 reads them")
def test_the_largest_pictures_let_through_keep_within_the_room(seen):
    assert len(seen["largest"]) == len(LARGEST) * len(SIZES)
    assert all(map(is_picture, seen["largest"]))


def test_a_photograph_too_large_to_be_read_whole_is_read_reduced(tmp_path):
    Image.new("RGB", (9000, 6000), (200, 30, 10)).save(tmp_path / "phone.jpg")
    assert np.abs(vz.read_image(tmp_path / "phone.jpg", size=224) - (200, 30, 10)).max() <= 6
    with pytest.raises(ValueError, match="phone.jpg is too large .* at most 36 million pixels"):
        vz.read_image(tmp_path / "phone.jpg")


def test_time_and_memory(seen):
    rows = [row for group in seen.values() if isinstance(group, list) for row in group]
    worst = max(rows, key=lambda row: row["seconds"])
    print(f"{len(rows)} readings, {sum(map(is_picture, rows))} pictures; slowest "
          f"{worst['seconds']:.2f} s of the processor ({worst['name']}, size {worst['size']}); "
          f"grown by {seen['grown'] / 1e6:.0f} MB")
    assert seen["grown"] < BYTES


if __name__ == "__main__":
    read_all(sys.argv[1])
