"""Picture files: any that Pillow decodes, as RGB, 0-255, or an error that says what to do."""

from __future__ import annotations

import io
import os
import re
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from engine.checks import what_is_wrong
from engine.file_kinds import RAW, REMEDIES, kind_of

try:  # iPhones' pictures; everything else is read without it
    import pillow_heif
except ImportError:
    pillow_heif = None
else:
    pillow_heif.register_heif_opener()

CROP = 0.875  #: share of the resized shorter side that the centre crop keeps (224 of 256)
#: Pixels a picture may have once decoded: on the way to RGB, below 1 GB of memory.
MOST_PIXELS = 36_000_000
THINNEST = 20  #: a side longer than this many shorter ones is cut before the picture is enlarged
BITS_PER_SAMPLE = 258  #: the tag of TIFF
SIXTEEN_BITS = {"PNG", "PPM"}  #: formats whose integers are 16 bits where Pillow gives them 32
#: Formats that Pillow knows by name, but that are no pictures or need another program.
NO_PICTURES = {"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "PDF", "WMF"}


def picture_endings() -> frozenset[str]:
    """File endings of the pictures that the installed Pillow reads, in lower case."""
    known = Image.registered_extensions().items()  # a pair of views that .MPO holds is a JPEG
    return frozenset(ending for ending, kind in known
                     if (kind in Image.OPEN or kind == "MPO") and kind not in NO_PICTURES)


def read_image(
    path: str | os.PathLike | bytes, *, size: int | None = None, crop: float = CROP
) -> np.ndarray:
    """Read any picture file as RGB.

    Every format that Pillow decodes: JPEG, PNG, WebP, AVIF, GIF (first frame), TIFF, ..., and HEIC
    where ``pillow-heif`` is installed; greyscale, palette, transparency (over white), CMYK and
    16-bit pictures (the full 16 bits are white: what a camera wrote of 10 bits into them comes
    out dark), turned as their EXIF tag says. Floating-point and 32-bit ones must hold 0-255.
    Very large JPEGs are decoded at reduced size.

    Parameters
    ----------
    path : path, or bytes
        A file, or what one holds.
    size : int, optional
        Side of the square centre crop in pixels (see `load_images`); without it the whole
        picture is returned.
    crop : float
        What share of the shorter side the crop keeps; 1: all of it.

    Returns
    -------
    ndarray of float32, shape (rows, columns, 3)
        RGB, 0-255.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        It is damaged, cut short, no picture (then the error says what it is), or has more than
        `MOST_PIXELS` once decoded: a file of a few bytes may claim any size. Its values are
        scaled to 0-1, negative, not finite or beyond 255 (`engine.checks.what_is_wrong`).
    """
    if isinstance(path, bytes):
        return read_bytes(path, "this picture", size, crop)
    refuse_address(path)
    path = Path(path)
    if path.is_dir():
        raise ValueError(f"{path} is a folder, not a picture: vz.load_images reads folders.")
    if not path.is_file():
        raise FileNotFoundError(f"there is no picture file {path}; check the name and the folder.")
    large = path.stat().st_size > 8 * MOST_PIXELS
    try:
        # Read at once: of a file's own words about its parts' lengths, Pillow believes any.
        content = beginning(path) if large else path.read_bytes()
    except OSError as problem:
        raise ValueError(f"{path.name} cannot be opened ({problem.strerror}): check who may read "
                         "it, or leave it out.") from None
    if large:
        raise _no_picture(content, path.name) or _too_large(path.name)
    return read_bytes(content, path.name, size, crop)


def beginning(path: Path) -> bytes:
    """As much of a file as tells its kind."""
    with path.open("rb") as file:
        return file.read(512)


def read_bytes(content: bytes, name: str, size: int | None, crop: float) -> np.ndarray:
    """What `read_image` returns, of a file's bytes; `name` is what errors call it."""
    if Path(name).suffix.lower() in RAW:  # Pillow would find the thumbnail in it
        raise ValueError(f"{name} is of a kind that is not read: {REMEDIES[RAW[0]]}.")
    try:
        picture = _decoded(content, None if size is None else round(size / crop))
    except Image.DecompressionBombError:
        raise _too_large(name) from None
    except MemoryError:
        raise
    except _UnfitValues as problem:
        raise ValueError(f"{name} {problem}") from None
    except Exception as problem:  # on damage, decoders fail in any way
        unknown = isinstance(problem, UnidentifiedImageError)  # it would name an address
        known = _no_picture(content, name) if unknown else None
        if known:
            raise known from None
        cause = "unknown format" if unknown else str(problem) or type(problem).__name__
        raise ValueError(f"{name} is damaged, cut short or no picture ({cause}): save it "
                         "again as JPEG or PNG, or leave it out.") from problem
    if size is not None:
        picture = centre_crop(picture, size, crop)
    return np.asarray(picture, "float32")


def _too_large(name: str) -> ValueError:
    return ValueError(f"{name} is too large to be decoded safely: make it smaller, at most "
                      f"{MOST_PIXELS / 1e6:.0f} million pixels.")


def refuse_address(path) -> None:
    """Raise an error that says what to do with the address of a web page."""
    address = os.fspath(path)
    if re.match(r"(https?|ftp|data):", address, re.IGNORECASE):
        short = address if len(address) <= 60 else address[:57] + "..."
        raise ValueError(f"{short} is an address, and files are read here: download the picture "
                         "first (urllib.request.urlretrieve(address, 'picture.jpg')), then give "
                         "the file's name.")


def no_decoder_for(content: bytes, ending: str = "") -> str:
    """What a sound file is that cannot be decoded here, and what helps (see `kind_of`)."""
    return kind_of(content, ending=ending, heic=pillow_heif is not None)


def _no_picture(content: bytes, name: str) -> ValueError | None:
    """The error for a sound file that is no picture, or none that can be decoded here."""
    kind = no_decoder_for(content, Path(name).suffix.lower())
    other = ", or save it as JPEG" if " picture" in kind.partition(":")[0] else ""
    return ValueError(f"{name} is {kind}{other}.") if kind else None


def _decoded(content: bytes, side: int | None) -> Image.Image:
    """A picture file as RGB; a JPEG reduced if only `side` pixels are wanted."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # judged here instead
        with Image.open(io.BytesIO(content)) as picture:
            if picture.format in NO_PICTURES:  # Pillow would run another program, or fail
                raise UnidentifiedImageError
            width, height = picture.size
            if side is not None:  # twice too large, so that bicubic still decides
                picture.draft("RGB", (2 * side, 2 * side))
            if "progressive" not in picture.info:  # such a JPEG is held whole, however reduced
                width, height = picture.size
            if width * height > MOST_PIXELS:
                raise Image.DecompressionBombError
            return _rgb(picture)


def to_rgb(picture: Image.Image, name: str = "this picture") -> Image.Image:
    """Any Pillow mode → RGB, the right way up; transparency over white, 16 bits scaled to 8.

    Raises
    ------
    ValueError
        Floats or 32-bit integers that are not 0-255, judged as an array's are. `name` is what
        the error calls the picture.
    """
    try:
        return _rgb(picture)
    except _UnfitValues as problem:
        raise ValueError(f"{name} {problem}") from None


class _UnfitValues(ValueError):
    """A sound picture whose numbers are no picture's; the rest of a sentence."""


def _rgb(picture: Image.Image) -> Image.Image:
    """What `to_rgb` returns; raises `_UnfitValues`."""
    white = _white(picture)  # asked first: what is turned has forgotten its file
    picture = ImageOps.exif_transpose(picture)
    if picture.mode.startswith("I") or picture.mode == "F":
        values = np.array(picture, "float32")
        if white > 255:
            values *= 255 / white
            np.rint(values, out=values)  # else the darkest would seem scaled to 0-1
        problem = what_is_wrong(values, values.min(), values.max())
        if problem:
            raise _UnfitValues(problem)
        picture = Image.fromarray(np.clip(values, 0, 255).round().astype("uint8"))
    if picture.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        paper = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(paper, picture)
    return picture.convert("RGB")


def _white(picture: Image.Image) -> int:
    """The value of white in a grey picture of integers or floats: 65,535 if it has 16 bits.

    A TIFF may say that it uses 10, 12 or 14 of them; no other format does to Pillow.
    """
    bits = getattr(picture, "tag_v2", {}).get(BITS_PER_SAMPLE, (0,))[0]
    if picture.mode.startswith("I;16") or (picture.mode == "I" and (
            bits == 16 or picture.format in SIXTEEN_BITS)):
        return 2**bits - 1 if 8 < bits < 16 else 65_535
    return 255


def centre_crop(picture: Image.Image, size: int, crop: float) -> Image.Image:
    """Resize the shorter side to size / crop (bicubic), then cut the centre out."""
    longest = THINNEST * min(picture.size)
    left, top = (max(side - longest, 0) // 2 for side in picture.size)
    if left or top:  # a line of pixels, enlarged whole, would fill the memory
        picture = picture.crop((left, top, picture.width - left, picture.height - top))
    width, height = picture.size
    scale = round(size / crop) / min(width, height)
    new = (max(size, round(width * scale)), max(size, round(height * scale)))
    picture = picture.resize(new, Image.Resampling.BICUBIC)
    left, top = (new[0] - size) // 2, (new[1] - size) // 2
    return picture.crop((left, top, left + size, top + size))
