"""Picture files: any that Pillow decodes, as RGB, 0-255, or an error that says what to do."""

from __future__ import annotations

import io
import os
import re
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

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
#: Formats that Pillow knows by name, but that are no pictures or need another program.
NO_PICTURES = {"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "PDF", "WMF"}
#: Endings of cameras' raw files.
RAW = ".arw .cr2 .cr3 .crw .dng .nef .nrw .orf .pef .raf .raw .rw2 .sr2 .srw".split()
#: What looks like a picture and is not read: its ending, and what helps.
REMEDIES = {
    **dict.fromkeys((".heic", ".heif", ".hif"), "install pillow-heif and restart"),
    **dict.fromkeys((".avif", ".avifs"), "install Pillow 11.3 or later"),
    **dict.fromkeys(RAW, "export a camera's raw files as JPEG"),
    **dict.fromkeys(".ai .cdr .emf .eps .exr .jxl .jxr .kra .psb .svg .svgz .wmf .xcf".split(),
                    "export it as PNG"),
}
#: First words of the files that pillow-heif reads.
HEIC_BRANDS = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1")


def picture_endings() -> frozenset[str]:
    """File endings of the pictures that the installed Pillow reads, in lower case."""
    known = Image.registered_extensions().items()  # a pair of views that .MPO holds is a JPEG
    return frozenset(ending for ending, kind in known
                     if (kind in Image.OPEN or kind == "MPO") and kind not in NO_PICTURES)


def read_image(path: str | os.PathLike | bytes, *, size: int | None = None) -> np.ndarray:
    """Read any picture file as RGB.

    Every format that Pillow decodes: JPEG, PNG, WebP, AVIF, GIF (first frame), TIFF, ..., and HEIC
    where ``pillow-heif`` is installed; greyscale, palette, transparency (over white), CMYK and
    16-bit pictures, turned as their EXIF tag says. Very large JPEGs are decoded at reduced size.

    Parameters
    ----------
    path : path, or bytes
        A file, or what one holds.
    size : int, optional
        Side of the square centre crop in pixels (see `load_images`); without it the whole
        picture is returned.

    Returns
    -------
    ndarray of float32, shape (rows, columns, 3)
        RGB, 0-255.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        It is damaged, cut short, no picture, or has more than `MOST_PIXELS` once decoded: a
        file of a few bytes may claim any size.
    """
    if isinstance(path, bytes):
        return read_bytes(path, "this picture", size)
    refuse_address(path)
    path = Path(path)
    if path.is_dir():
        raise ValueError(f"{path} is a folder, not a picture: vz.load_images reads folders.")
    if not path.is_file():
        raise FileNotFoundError(f"there is no picture file {path}; check the name and the folder.")
    if path.stat().st_size > 8 * MOST_PIXELS:
        raise _too_large(path.name)
    try:
        # Read at once: of a file's own words about its parts' lengths, Pillow believes any.
        content = path.read_bytes()
    except OSError as problem:
        raise ValueError(f"{path.name} cannot be opened ({problem.strerror}): check who may read "
                         "it, or leave it out.") from None
    return read_bytes(content, path.name, size)


def read_bytes(content: bytes, name: str, size: int | None) -> np.ndarray:
    """What `read_image` returns, of a file's bytes; `name` is what errors call it."""
    if Path(name).suffix.lower() in RAW:  # Pillow would find the thumbnail in it
        raise ValueError(f"{name} is of a kind that is not read: {REMEDIES[RAW[0]]}.")
    try:
        picture = to_rgb(_decoded(content, size))
    except Image.DecompressionBombError:
        raise _too_large(name) from None
    except MemoryError:
        raise
    except Exception as problem:  # on damage, decoders fail in any way
        unknown = isinstance(problem, UnidentifiedImageError)  # it would name an address
        missing = unknown and _missing_decoder(content)
        if missing:
            raise ValueError(f"{name} is {missing}, or save it as JPEG.") from None
        cause = "unknown format" if unknown else str(problem) or type(problem).__name__
        raise ValueError(f"{name} is damaged, cut short or no picture ({cause}): save it "
                         "again as JPEG or PNG, or leave it out.") from problem
    if size is not None:
        picture = centre_crop(picture, size)
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


def _missing_decoder(content: bytes) -> str:
    """What a sound file of a kind is that cannot be decoded here, and the remedy."""
    if content[4:8] != b"ftyp":
        return ""
    if content[8:12] in (b"avif", b"avis"):
        return "an AVIF picture, which this Pillow cannot read: install Pillow 11.3 or later"
    if content[8:12] in HEIC_BRANDS and pillow_heif is None:
        return ("a HEIC picture, as iPhones take them: install pillow-heif (pip install "
                "pillow-heif) and restart")
    return ""


def _decoded(content: bytes, size: int | None) -> Image.Image:
    """A picture file, the right way up; a JPEG reduced if only `size` pixels are wanted."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # judged here instead
        with Image.open(io.BytesIO(content)) as picture:
            if picture.format in NO_PICTURES:  # Pillow would run another program, or fail
                raise UnidentifiedImageError
            width, height = picture.size
            if size is not None:
                wanted = 2 * round(size / CROP)  # twice too large, so that bicubic still decides
                picture.draft("RGB", (wanted, wanted))
            if "progressive" not in picture.info:  # such a JPEG is held whole, however reduced
                width, height = picture.size
            if width * height > MOST_PIXELS:
                raise Image.DecompressionBombError
            return ImageOps.exif_transpose(picture)


def to_rgb(picture: Image.Image) -> Image.Image:
    """Any Pillow mode → RGB; transparency over white, 16 bits scaled to 8."""
    if picture.mode.startswith("I") or picture.mode == "F":
        values = np.asarray(picture, "float32")
        scale = 257 if values.max(initial=0) > 255 else 1
        picture = Image.fromarray(np.clip(values / scale, 0, 255).round().astype("uint8"))
    if picture.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        paper = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(paper, picture)
    return picture.convert("RGB")


def centre_crop(picture: Image.Image, size: int) -> Image.Image:
    """Resize the shorter side to size / CROP (bicubic), then cut the centre out."""
    longest = THINNEST * min(picture.size)
    left, top = (max(side - longest, 0) // 2 for side in picture.size)
    if left or top:  # a line of pixels, enlarged whole, would fill the memory
        picture = picture.crop((left, top, picture.width - left, picture.height - top))
    width, height = picture.size
    scale = round(size / CROP) / min(width, height)
    new = (max(size, round(width * scale)), max(size, round(height * scale)))
    picture = picture.resize(new, Image.Resampling.BICUBIC)
    left, top = (new[0] - size) // 2, (new[1] - size) // 2
    return picture.crop((left, top, left + size, top + size))
