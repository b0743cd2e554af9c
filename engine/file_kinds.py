"""Files that are no pictures, or that are not read as such: what they are, and what helps."""

from __future__ import annotations

#: Endings of cameras' raw files.
RAW = ".arw .cr2 .cr3 .crw .dng .nef .nrw .orf .pef .raf .raw .rw2 .sr2 .srw".split()
FRAME, UNPACK = "save a frame of a video as PNG", "unpack it"
HEIC = "install pillow-heif and restart"
#: What a folder's owner may mean as a picture and what is not read: its ending, and what helps.
#: A decoder that is installed comes first.
REMEDIES = {
    **dict.fromkeys((".heic", ".heif", ".hif"), HEIC),
    **dict.fromkeys((".avif", ".avifs"), "install Pillow 11.3 or later"),
    **dict.fromkeys(RAW, "export a camera's raw files as JPEG"),
    **dict.fromkeys(".ai .cdr .emf .eps .exr .jxl .jxr .kra .pdf .psb .svg .svgz .wmf .xcf".split(),
                    "export it as PNG"),
    **dict.fromkeys(".3gp .avi .flv .m2ts .m4v .mkv .mov .mp4 .mpeg .mpg .mts .webm .wmv".split(),
                    FRAME),
    **dict.fromkeys(".7z .rar .tar .tgz .zip".split(), UNPACK),
    **dict.fromkeys(".crdownload .download .opdownload .part .partial".split(),
                    "download it again, it broke off"),
}
#: Endings of text, which no first bytes tell.
TEXTS = frozenset(".csv .htm .html .ipynb .json .log .md .py .tsv .txt .xml .yaml .yml".split())
#: First words of the files that pillow-heif reads.
HEIC_BRANDS = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1")
#: A beginning, and what begins so with what helps.
BEGINNINGS = (
    (b"PK\x03\x04", "a ZIP archive or an office document", UNPACK + ", or save its pictures"),
    (b"Rar!\x1a", "a RAR archive", UNPACK), (b"7z\xbc\xaf\x27\x1c", "a 7z archive", UNPACK),
    (b"\x1f\x8b", "a gzip archive", UNPACK), (b"%PDF", "a PDF document", "export its page as PNG"),
    (b"\x1aE\xdf\xa3", "a video", FRAME), (b"FLV\x01", "a video", FRAME),
    (b"\0\0\x01\xba", "a video", FRAME), (b"\0\0\x01\xb3", "a video", FRAME),
)


def kind_of(content: bytes, *, ending: str = "", heic: bool = False) -> str:
    """What a file is that cannot be decoded as a picture, and what helps.

    Parameters
    ----------
    content : bytes
        The file's beginning, 512 bytes or more.
    ending : str, optional
        Of its name, in lower case, with the dot.
    heic : bool
        Whether a decoder for HEIC is installed.

    Returns
    -------
    str
        "a video: save a frame of a video as PNG", say; empty for anything unknown.
    """
    for beginning, what, remedy in BEGINNINGS:
        if content.startswith(beginning):
            return f"{what}: {remedy}"
    if content[257:262] == b"ustar":
        return f"a tar archive: {UNPACK}"
    if content[:4] == b"RIFF" and content[8:12] == b"AVI ":
        return f"a video: {FRAME}"
    if content[4:8] == b"ftyp":
        return _of_boxes(content[8:12], heic)
    start = content[:256].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<!doctype html", b"<html")):
        return "a web page: download the picture itself"
    if start.startswith(b"<svg"):
        return "an SVG drawing: export it as PNG"
    if ending in TEXTS:
        return "a text file: give the picture itself (labels of pictures are given as labels=...)"
    return ""


def _of_boxes(brand: bytes, heic: bool) -> str:
    """The same of the family of MP4, by the first word that such a file says of itself."""
    if brand in (b"avif", b"avis"):
        return "an AVIF picture, which this Pillow cannot read: install Pillow 11.3 or later"
    if brand in HEIC_BRANDS:
        return "" if heic else ("a HEIC picture, as iPhones take them: install pillow-heif (pip "
                                "install pillow-heif) and restart")
    return "a camera's raw file: export it as JPEG" if brand == b"crx " else f"a video: {FRAME}"
