"""In which forms people have pictures, what is in a folder, and who may say what they show."""

import contextlib
import io
import shutil
import unicodedata
import warnings
import zipfile

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import vizutils as vz
from engine import decoding, loading
from engine.decoding import picture_endings

NOISE = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype="uint8")
PHOTO = Image.fromarray(NOISE)


def encoded(kind="JPEG"):
    file = io.BytesIO()
    PHOTO.save(file, kind)
    return file.getvalue()


def save(path, kind=None):
    """The same picture in a file, and the folders it lies in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    PHOTO.save(path, kind)
    return path


@pytest.fixture(autouse=True)
def no_warning():
    """What is not asked for is not said."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


# --- labels -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["cats/1.jpg", "photo_12.jpg", "photo_243.png", "n0144/a.jpg",
                                  "IMG_0007.jpg", "a_n01440764.jpg", "n014407641_1.jpg"])
def test_a_name_says_nothing_unless_it_starts_with_a_wordnet_id(tmp_path, name):
    save(tmp_path / name)
    assert vz.load_images(tmp_path, size=8).labels.tolist() == [-1]


@pytest.mark.parametrize("name", ["n01443537_12.jpg", "n01443537/7.png",
                                  "n01443537_goldfish/1.png"])
def test_a_wordnet_id_says_the_class(tmp_path, name):
    save(tmp_path / name)
    assert vz.load_images(tmp_path, size=8).labels.tolist() == [1]
    assert vz.load_images(tmp_path / name, size=8).labels.tolist() == [1]


def test_a_wordnet_id_says_the_class_whatever_has_the_files_name(tmp_path):
    path = save(tmp_path / "n01443537_12.jpg")
    inside = save(tmp_path / "n01443537" / "7.jpg")
    content = path.read_bytes()
    for given in (Image.open(path), Image.open(inside), path.open("rb"), inside.open("rb"),
                  {path.name: content}, {"n01443537/7.jpg": content}, {path.name: PHOTO},
                  {path.name: {"content": content}}, {"name": path.name, "content": content}):
        with contextlib.closing(given) if hasattr(given, "close") else contextlib.nullcontext():
            found = vz.load_images([given], size=8)
        assert found.labels.tolist() == [1], given
    for given in (PHOTO, io.BytesIO(content), content, {"7.jpg": content}, {"": content}):
        assert vz.load_images(given, size=8).labels.tolist() == [-1], given
    assert vz.load_images({"x.jpg": path}, size=8).labels.tolist() == [1]


def test_a_picture_without_a_name_is_not_named_after_the_current_folder(tmp_path, monkeypatch):
    (tmp_path / "n01443537").mkdir()
    monkeypatch.chdir(tmp_path / "n01443537")
    for given in (PHOTO, io.BytesIO(encoded()), {"7.jpg": encoded()}):
        assert vz.load_images(given, size=8).labels.tolist() == [-1], given


@pytest.fixture
def album(tmp_path):
    for name in ("tabby/1.jpg", "tabby/2.jpg", "tench/1.jpg"):
        save(tmp_path / "album" / name)
    return tmp_path / "album"


@pytest.mark.parametrize("labels", [
    [281, "tench", None], ["tabby", 0, np.nan], pd.Series([281.0, 0.0, np.nan]),
    pd.Series([-1, 0, 281], index=["tench/1.jpg", "2.jpg", "tabby/1.jpg"]),
    pd.Series([281, 0, -1], index=[7, 3, 5]), dict.fromkeys((281, 0, -1)).keys(),
    np.array([281, 0, -1]), ("n02123045", "n01440764_tench", ""), ["281", "0", "-1"],
    {"tabby/1.jpg": "tabby", "2.jpg": "tench", "tench/1.jpg": -1}])
def test_given_labels(album, labels):
    found = vz.load_images(album, size=8, labels=labels)
    assert found.labels.tolist() == [281, 0, -1]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("written", ["NFC", "NFD"])
@pytest.mark.parametrize("asked", ["NFC", "NFD"])
def test_names_with_accents_whoever_wrote_them(tmp_path, encoding, written, asked):
    save(tmp_path / "a" / (unicodedata.normalize(written, "Kätzchen") + ".jpg"))
    name = unicodedata.normalize(asked, "Kätzchen.jpg")
    if encoding != "cp1252" or asked == "NFC":  # it has no separate dots
        table = tmp_path / "labels.csv"
        table.write_bytes(f"file;label;by\r\n{name};281;Zoë\r\n".encode(encoding))
        assert vz.load_images(tmp_path / "a", size=8, labels=table).labels.tolist() == [281]
    assert vz.load_images(tmp_path / "a", size=8, labels={name: 281}).labels.tolist() == [281]


@pytest.mark.parametrize("text", [
    "file,label\ntabby/1.jpg,tabby\n2.jpg,0\ntench/1.jpg,\n",
    "\ufeffFile;Label;by\r\ntabby\\1.jpg;281;me\r\n\r\ntabby/2.jpg; tench ;me\r\n"
    "tench/1.jpg;;\r\n"])
def test_labels_in_a_file(album, tmp_path, text):
    (tmp_path / "labels.csv").write_text(text, encoding="utf-8")
    found = vz.load_images(album, size=8, labels=tmp_path / "labels.csv")
    assert found.labels.tolist() == [281, 0, -1]


def test_folders_named_as_classes(album):
    assert vz.load_images(album, size=8, labels="folders").labels.tolist() == [281, 281, 0]
    assert vz.load_images(album / "tench", size=8, labels="folders").labels.tolist() == [0]
    assert vz.load_images(album, size=8).labels.tolist() == [-1, -1, -1]
    for number in ("0", "1", "-1"):  # tench, goldfish? the numbering of the folders' owner
        save(album.parent / "numbered" / number / "1.jpg")
    with pytest.raises(ValueError, match="'0' is a number, not a class's name"):
        vz.load_images(album.parent / "numbered", size=8, labels="folders")
    save(album.parent / "wnids" / "n02123045" / "1.jpg")
    assert vz.load_images(album.parent / "wnids", size=8, labels="folders").labels.tolist() == [281]
    save(album / "cats" / "1.jpg")
    with pytest.raises(ValueError, match=r"no ImageNet class is called 'cats'.*give labels="):
        vz.load_images(album, size=8, labels="folders")


@pytest.mark.parametrize(("labels", "message"), [
    ([1, 2], "2 labels for 3 picture"), ([1, 2, 1000], "from 0 to 999.*not 1000"),
    ([1, 2, 0.5], "not 0.5"), ([True, False, True], "not True"), ([1, 2, "cta"], "no ImageNet"),
    ([1, 2, "crane"], "2 classes"), ({"1.jpg": 3}, "2 pictures are called 1.jpg.*'tabby/1.jpg'"),
    ({"x.jpg": 3}, "names none of the pictures.*x.jpg"), ("nowhere.csv", "no file of labels"),
    ({1, 2, 3}, "is a set, which has no order"), (frozenset([1, 2, 3]), "is a set"),
    (281, r"not 281: give a list, \[281\]"), (np.array(281), "give a list"),
    (np.eye(3), "argmax"), ([[1, 0], [0, 1], [1, 0]], "argmax"), (np.ones((3, 1)), "ravel"),
    (pd.DataFrame({"file": ["2.jpg"], "label": [1]}), "is a table"), ({0: 281}, "no file name"),
    (pd.Series([1, 2], index=["2.jpg", "2.jpg"]), "gives 2.jpg two labels, 1 and 2"),
    (pd.Series([1, 2, 3], index=["a.jpg", "b.jpg", "c.jpg"]), "names none of the pictures")])
def test_labels_that_cannot_be(album, labels, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        vz.load_images(album, size=8, labels=labels)


def test_labels_that_fit_in_part_say_so(album, tmp_path):
    with pytest.warns(UserWarning, match=r"1 file.* \(x.jpg\) and leaves out 2 .*tabby/1.jpg"):
        found = vz.load_images(album, size=8, labels={"2.jpg": 5, "x.jpg": 3})
    assert found.labels.tolist() == [-1, 5, -1]
    for text, message in (("a,b\n1,2\n", "columns file and label, not a, b"), ("", "an empty one"),
                          ("file,label\n2.jpg,1\n2.jpg,3\n", "gives 2.jpg two labels, 1 and 3")):
        (tmp_path / "odd.csv").write_text(text)
        with pytest.raises(ValueError, match=message):
            vz.load_images(album, size=8, labels=tmp_path / "odd.csv")


def test_labels_stay_with_their_pictures_when_one_cannot_be_read(album):
    (album / "tabby" / "2.jpg").write_bytes(b"cut")
    for labels in ([1, 2, 3], [1, 3], {"tabby/1.jpg": 1, "2.jpg": 2, "tench/1.jpg": 3}):
        with pytest.warns(UserWarning, match="2.jpg is damaged"):
            assert vz.load_images(album, size=8, labels=labels).labels.tolist() == [1, 3]


# --- what is in a folder ------------------------------------------------------------------------


def test_everything_that_pillow_reads_is_read(tmp_path):
    kinds = {"a.jpg": None, "b.JFIF": "JPEG", "c.jpe": "JPEG", "d.jp2": None, "e.mpo": "MPO",
             "f.ppm": None, "g.tga": None, "h.ico": None, "i.qoi": None, "j.webp": None,
             "k": "PNG", "l.png": "JPEG"}
    if ".avif" in picture_endings():
        kinds["m.avif"] = None
    for name, kind in kinds.items():
        save(tmp_path / name, kind)
    for name in ("notes.txt", "table.csv", "a.json", "script.py", "README", "Thumbs.db", "w.h5"):
        (tmp_path / name).write_bytes(b"no picture")
    assert vz.load_images(tmp_path, size=8).names == tuple(n.split(".")[0] for n in kinds)


def test_what_systems_and_jupyter_leave_is_no_picture(tmp_path):
    for name in (".ipynb_checkpoints/cat-checkpoint.jpg", "__MACOSX/cat.jpg", ".hidden/cat.jpg",
                 "a/.thumbnails/cat.jpg", ".cat.jpg", "cat.jpg"):
        save(tmp_path / name)
    (tmp_path / "._cat.jpg").write_bytes(b"a Mac's notes on cat.jpg")
    assert vz.load_images(tmp_path, size=8).names == ("cat",)
    home = save(tmp_path / ".hidden" / "own" / "dog.jpg").parent
    assert vz.load_images(home, size=8).names == ("dog",)  # asked for by name


def heic():
    """The beginning of a file as iPhones write them."""
    return b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(40)


def test_what_is_not_read_is_named_with_its_remedy(tmp_path, monkeypatch):
    monkeypatch.setattr(decoding, "pillow_heif", None)  # as where it is not installed
    monkeypatch.setattr(loading, "picture_endings", lambda: frozenset({".jpg", ".png"}))
    save(tmp_path / "a.jpg")
    for i in range(7):
        (tmp_path / f"IMG_{i}.HEIC").write_bytes(heic())
    (tmp_path / "b.svg").write_text("<svg/>")
    save(tmp_path / "c.dng", "TIFF")  # in which Pillow finds the thumbnail
    with pytest.warns(UserWarning) as caught:
        assert vz.load_images(tmp_path, size=8).names == ("a",)
    said = str(caught[0].message)
    assert len(caught) == 1 and said.startswith("9 file(s) of kinds that are not read: IMG_0")
    for words in ("and 2 more (install pillow-heif", "b.svg (export", "c.dng (export a camera's"):
        assert words in said
    (tmp_path / "a.jpg").unlink()
    with pytest.raises(FileNotFoundError, match=r"no readable picture.*pillow-heif"):
        vz.load_images(tmp_path)
    with pytest.raises(ValueError, match="raw files as JPEG"):
        vz.load_images(tmp_path / "c.dng")
    for one in (tmp_path / "IMG_0.HEIC", [tmp_path / "IMG_0.HEIC"], heic()):
        if Image.registered_extensions().get(".heic") is None:
            with pytest.raises(ValueError, match="install pillow-heif") as caught:
                vz.load_images(one)
            assert "damaged" not in str(caught.value)


def zipped():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("cat.jpg", encoded())
    return file.getvalue()


VIDEO = b"\0\0\0\x20ftypisom\0\0\x02\0isomiso2avc1mp41" + bytes(600)


def test_what_may_be_meant_as_a_picture_is_named_and_other_files_are_not(tmp_path, monkeypatch):
    monkeypatch.setattr(decoding, "pillow_heif", None)
    files = {"IMG_1.MOV": VIDEO, "b.mp4": VIDEO, "c.pdf": b"%PDF-1.4", "d.zip": zipped(),
             "e.jpg.crdownload": encoded()[:99], "f.png.part": b"", "IMG_7": heic(), "film": VIDEO,
             "archive": zipped()}
    silent = ("Thumbs.db", "a.txt", "a.csv", "a.json", "a.py", "Makefile", "a.ipynb", "empty")
    save(tmp_path / "a.jpg")
    for name in silent:
        (tmp_path / name).write_bytes(b"words" if name != "empty" else b"")
    assert len(vz.load_images(tmp_path, size=8)) == 1
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    with pytest.warns(UserWarning) as caught:
        assert vz.load_images(tmp_path, size=8).names == ("a",)
    said = str(caught[0].message)
    assert len(caught) == 1 and said.startswith("9 file(s) of kinds that are not read")
    assert all(name in said for name in files) and not any(name in said for name in silent)
    for words in ("IMG_1.MOV, b.mp4 (save a frame", "c.pdf (export it as PNG", "d.zip (unpack it",
                  "e.jpg.crdownload, f.png.part (download it again", "IMG_7 (a HEIC picture",
                  "film (a video", "archive (a ZIP"):
        assert words in said


@pytest.mark.parametrize(("name", "content", "message"), [
    ("a.zip", zipped(), "a.zip is a ZIP archive .*: unpack it"), ("a.mp4", VIDEO, "a video: save"),
    ("cat.jpg", VIDEO, "cat.jpg is a video"), ("cat.jpg", zipped(), "a ZIP archive"),
    ("a.csv", b"file,label\nb.jpg,281\n", "a.csv is a text file: .*labels="),
    ("a.avi", b"RIFF\0\0\0\0AVI LIST", "a video"), ("a.mkv", b"\x1aE\xdf\xa3", "a video"),
    ("a.tar", bytes(257) + b"ustar", "a tar archive: unpack it"), ("a.pdf", b"%PDF-1.4", "a PDF"),
    ("cat.jpg", b"\n<!DOCTYPE html><html>", "a web page: download the picture itself"),
    ("cat.png", b"<svg/>", "an SVG drawing: export"), ("a.cr3", b"", "export a camera's raw files"),
    ("cat.jpg", b"\0\0\0\x18ftypcrx ", "a camera's raw file")])
def test_a_sound_file_of_another_kind_is_called_what_it_is(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    for given in (path, {name: content}, [path]):
        with pytest.raises(ValueError, match=message) as caught:
            vz.load_images(given)
        assert "damaged" not in str(caught.value)


def test_a_large_video_is_not_to_be_made_smaller(tmp_path, monkeypatch):
    monkeypatch.setattr(decoding, "MOST_PIXELS", 50)
    for content, message in ((VIDEO, "is a video"), (bytes(999), "too large")):
        (tmp_path / "a.mp4").write_bytes(content)
        with pytest.raises(ValueError, match=message):
            vz.read_image(tmp_path / "a.mp4")


def test_heic_is_read_where_its_decoder_is_installed(tmp_path):
    pytest.importorskip("pillow_heif", reason="pillow-heif is optional and not installed")
    path = save(tmp_path / "IMG_1.HEIC", "HEIF")
    found = vz.load_images(tmp_path, size=40)
    np.testing.assert_array_equal(found.images, vz.load_images(path.read_bytes(), size=40).images)
    assert np.abs(found.images.mean() - vz.load_images(PHOTO, size=40).images.mean()) < 8
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(ValueError, match="damaged"):
        vz.read_image(path)


def test_a_file_that_may_not_be_opened_is_not_called_damaged(tmp_path, monkeypatch):
    def forbidden(path):
        raise PermissionError(13, "Permission denied")

    path = save(tmp_path / "a.jpg")
    monkeypatch.setattr(type(path), "read_bytes", forbidden)
    with pytest.raises(ValueError, match=r"a.jpg cannot be opened \(Permission denied\)"):
        vz.load_images(path)


# --- forms --------------------------------------------------------------------------------------


def forms(folder):
    """The same JPEG, as people have it."""
    path = save(folder / "cat.jpg")
    content = path.read_bytes()
    with Image.open(path) as picture:
        picture.load()
    return {
        "folder": folder, "folder, str": str(folder), "file": path, "file, str": str(path),
        "files": [path], "glob": folder.glob("*.jpg"), "table": pd.Series([str(path)]),
        "PIL": picture, "PILs": [picture], "bytes": content, "many bytes": [bytearray(content)],
        "open file": io.BytesIO(content), "named bytes": {"cat.jpg": content},
        "upload 7": {"cat.jpg": {"metadata": {"size": 3}, "content": content}},
        "upload 8": ({"name": "cat.jpg", "type": "image/jpeg", "size": 3,
                      "content": memoryview(content)},),
        "uint8": np.asarray(picture), "floats": np.asarray(picture, "float64"),
        "arrays": [np.asarray(picture)], "batch": np.asarray(picture)[None],
        "image set": vz.load_images(path, size=24),
    }


def test_every_form_is_the_same_picture(tmp_path):
    wanted = vz.read_image(save(tmp_path / "cat.jpg"), size=48)
    for form, given in forms(tmp_path).items():
        found = vz.load_images(given, size=48, labels=["tabby"])
        assert isinstance(found, vz.ImageSet) and found.labels.tolist() == [281], form
        assert found.images.dtype == np.float32 and found.size == 48, form
        np.testing.assert_array_equal(found.images, wanted[None], err_msg=form)


def test_a_mixed_list_of_different_sizes(tmp_path):
    given = [save(tmp_path / "a.png"), PHOTO.convert("L"), encoded(), NOISE[:50], NOISE[None]]
    found = vz.load_images(given, size=16, limit=4)
    assert found.names == ("a", "picture 1", "picture 2", "picture 3")
    assert found.images.shape == (4, 16, 16, 3)


def test_an_array_of_the_right_size_stays_as_it_is():
    image = np.random.default_rng(1).uniform(0, 255, (2, 16, 16, 3)).astype("float32")
    np.testing.assert_array_equal(vz.load_images(image, size=16).images, image)
    few = vz.load_images(vz.load_images(image, size=16), size=16, labels=[3, 4])
    np.testing.assert_array_equal(few.images, image)
    assert few.subset([1]).labels.tolist() == [4]


@pytest.mark.parametrize(("given", "message"), [
    ("https://example.org/cat.jpg", "is an address.*download the picture first"),
    (["http://example.org/" + 90 * "a"], r"entry 0 .*\.\.\. is an address"),
    ("data:image/png;base64,AAAA", "is an address"),
    ("nowhere.jpg", "no picture file nowhere.jpg"), ("nowhere", "not a folder"),
    ("photos/*.jpg", "is a pattern"), ([], "no picture given"), ({}, "the upload is empty"),
    ((), "no picture given"), ([None], "entry 0 .*not read from NoneType"),
    ({"a.jpg": None}, "not read from NoneType"), ([[None]], "not read from NoneType"),
    (5, "not read from int"), (b"nothing", "picture 0 is damaged"),
    ({"cat.jpg": b"nothing"}, "cat.jpg is damaged"), ([b"a", b"b"], "none of these 2 files"),
    (NOISE / 255, "scaled to 0-1"), ([NOISE, NOISE / 255], "entry 1 .*scaled to 0-1"),
    (NOISE[..., 0], r"np\.stack")])
@pytest.mark.filterwarnings("ignore:2 unreadable")
def test_what_is_no_picture_is_a_sentence(given, message):
    with warnings.catch_warnings(), pytest.raises((ValueError, FileNotFoundError), match=message):
        warnings.simplefilter("ignore")
        vz.load_images(given)


def test_read_image_reads_bytes_and_refuses_what_is_no_file(tmp_path):
    path = save(tmp_path / "a.png")
    np.testing.assert_array_equal(vz.read_image(path.read_bytes()), NOISE)
    for given, message in ((tmp_path, "is a folder"), ("https://a.org/b.jpg", "is an address"),
                           (b"%PDF-1.4", "a PDF document: export")):
        with pytest.raises(ValueError, match=message):
            vz.read_image(given)


@pytest.mark.parametrize("size", [0, -3, 16.5, "224", None])
def test_sizes_that_cannot_be(size):
    with pytest.raises(ValueError, match="positive whole number"):
        vz.load_images(PHOTO, size=size)


@pytest.mark.parametrize("wrong", ["3", 2.5, 0, -1, True, 3.0, None])
def test_numbers_of_things_that_cannot_be(tiny, vgg16, wrong):
    small = vz.as_image_set(GOOD)
    calls = {"limit": lambda: vz.load_images(PHOTO, size=8, limit=wrong),
             "top": lambda: vz.classify(vgg16, GOOD, top=wrong),
             "k": lambda: vz.top_patches(tiny, small, "block1_conv1", 0, k=wrong)}
    if wrong is None:
        del calls["limit"]  # all pictures
    for name, call in calls.items():
        with pytest.raises(ValueError, match=f"{name} must be a whole number of at least 1, not "):
            call()
    with pytest.raises(ValueError, match="top must be a whole number of at least 1"):
        vz.rank_kernels(tiny, "block2_conv1", 0, top=wrong)
    assert len(vz.load_images([PHOTO, PHOTO], size=8, limit=np.int64(1))) == 1


def test_a_folder_emptied_between_listing_and_reading_is_told(tmp_path):
    found = vz.load_images(save(tmp_path / "a" / "b.jpg").parent, size=8)
    shutil.rmtree(tmp_path / "a")
    with pytest.raises(FileNotFoundError, match="no picture file"):
        found.read([0])


# --- one check ----------------------------------------------------------------------------------

GOOD = NOISE[None, :32, :32].repeat(2, 0)


@pytest.mark.parametrize(("given", "message"), [
    (GOOD[0], r"not \(32, 32, 3\); wrap a single one as image\[None\]"),
    (GOOD[..., :1], r"np\.repeat"), (GOOD[..., 0], r"np\.stack"),
    (GOOD[..., [0, 1, 2, 0]], "transparency"), (np.moveaxis(GOOD, -1, 1), r"np\.moveaxis"),
    (GOOD[:0], "no picture given"), ([], "no picture given"), (GOOD[None], "on the last axis"),
    (np.stack([GOOD[0], GOOD[0] * np.nan]), "picture 1 holds values that are not finite"),
    (np.stack([GOOD[0], GOOD[0] - np.inf]), "picture 1 holds values that are not finite"),
    (np.stack([GOOD[0], GOOD[0] / 255]), r"picture 1 is scaled to 0-1 .*multiply by 255"),
    (np.stack([GOOD[0], GOOD[0] - 117.0]), "picture 1 holds values from .*undo the prepro"),
    (GOOD.astype("uint16") * 257, "16-bit"), (GOOD > 9, "masks"), (GOOD / 127.5 - 1, "undo"),
    ("cat.jpg", "load_images"), ([GOOD[0], GOOD[0, :8]], "differ in size"), (None, "load_images"),
    (PHOTO, "load_images"), (GOOD * (1 + 0j), "load_images")])
def test_the_check_refuses(given, message):
    with pytest.raises(ValueError, match=message):
        vz.check_pictures(given)


def resized(image, side):
    """Bicubically, with what it makes beyond the range."""
    planes = [Image.fromarray(image[..., c].astype("float32")).resize(
        (side, side), Image.Resampling.BICUBIC) for c in range(3)]
    return np.stack([np.asarray(plane) for plane in planes], -1)


@pytest.mark.parametrize("image", [
    GOOD[0] / 255 * 1.01, GOOD[0] / 255 * 1.5, resized(GOOD[0] / 255, 48), GOOD[0] / 255 - 0.05,
    np.full((8, 8, 3), 1.2)])
def test_scaled_pictures_are_known_though_they_overshoot(image):
    largest = f"{image.max():.4g}".replace(".", r"\.")
    with pytest.raises(ValueError, match=rf"picture 0 is scaled to 0-1 .* is {largest}\): .* clip"):
        vz.check_pictures(image[None])


def test_the_check_lets_pass_what_is_a_picture():
    black, white = np.zeros_like(GOOD), np.full_like(GOOD, 255)
    rounding = np.float32(5e-4)
    for good in (GOOD, black, white, GOOD % 2, GOOD.astype("float16"), GOOD.astype(int), list(GOOD),
                 black - rounding, black + rounding, white + rounding,
                 np.full((1, 8, 8, 3), 2.5), np.concatenate([black, GOOD])):
        found = vz.check_pictures(good)
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, np.asarray(good, "float32"))
    images = GOOD.astype("float32")
    assert vz.check_pictures(images) is images  # nothing is copied


def test_image_sets_of_arrays_are_checked_when_they_are_made():
    labels = np.array([-1, -1])
    assert vz.ImageSet(("a", "b"), labels, 32, GOOD).images.dtype == np.float32
    for images, size, message in ((GOOD / 255, 32, "0-1"), (GOOD, 64, "64 × 64 px, not 32 × 32"),
                                  (GOOD[:1], 32, "here are 2, 2 and 1")):
        with pytest.raises(ValueError, match=message):
            vz.ImageSet(("a", "b"), labels, size, images)
    with pytest.raises(ValueError, match="square ones are needed"):
        vz.as_image_set(GOOD[:, :16])
    few = vz.as_image_set(GOOD).subset([])
    with pytest.raises(ValueError, match="the ImageSet is empty"):
        vz.as_image_set(few)


KEPT = {
    "as_image_set": lambda x: vz.as_image_set(x),
    "load_images": lambda x: vz.load_images(x, size=32),
    "ImageSet": lambda x: vz.ImageSet(("a", "b"), np.array([-1, -1]), 32, x),
    "subset": lambda x: vz.ImageSet(("a", "b"), np.array([-1, -1]), 32, x).subset([0, 1]),
    "a view": lambda x: vz.as_image_set(x[::-1][::-1]),
    "one list": lambda x: vz.load_images([x], size=32)}


@pytest.mark.parametrize("keep", KEPT.values(), ids=KEPT)
def test_what_is_kept_does_not_change_with_the_callers_array(keep):
    array = GOOD.astype("float32")
    kept = keep(array)
    array /= 255
    np.testing.assert_array_equal(kept.read([0, 1]), GOOD)
    np.testing.assert_array_equal(kept.images, GOOD)


def test_objectives_attacks_and_labels_keep_their_own(tiny):
    array, labels = GOOD.astype("float32"), np.array([3, 4])
    near, few = vz.distance_to(array), vz.ImageSet(("a", "b"), labels, 32, array)
    array /= 255
    labels[:] = 7
    np.testing.assert_array_equal(near.values[0], GOOD)
    assert few.labels.tolist() == [3, 4]


def test_what_passes_through_is_not_copied():
    array = GOOD.astype("float32")
    for passed in (vz.as_image_set(array, copy=False).sources, vz.one_or_more(array),
                   next(vz.picture_batches(array))):
        assert np.shares_memory(passed, array)


def test_pictures_of_our_own_making_may_be_as_dark_as_they_are():
    dark = vz.made(np.full((1, 8, 8, 3), 0.3, "float32"))
    np.testing.assert_array_equal(vz.check_pictures(dark), dark.images)
    assert vz.as_image_set(dark.subset([0])).images.max() == np.float32(0.3)
