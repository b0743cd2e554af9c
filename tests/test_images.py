"""Reading any picture file, and naming what is seen."""

import numpy as np
import pytest
from PIL import Image

import vizutils as vz
from data import classes as imagenet

RED = (200, 30, 10)


def save(path, mode="RGB", size=(40, 30), colour=RED, **options):
    """A picture of one colour in the given mode."""
    picture = Image.new("RGB", size, colour).convert(mode, palette=Image.Palette.ADAPTIVE)
    picture.save(path, **options)
    return path


@pytest.mark.parametrize(("name", "mode", "tolerance"), [
    ("a.jpg", "RGB", 6), ("a.png", "RGB", 0), ("a.webp", "RGB", 8), ("a.gif", "P", 4),
    ("a.png", "P", 4), ("a.png", "RGBA", 0), ("a.jpg", "CMYK", 8), ("a.bmp", "RGB", 0),
    ("a.tif", "RGB", 0),
])
def test_every_format_comes_out_as_the_same_red(tmp_path, name, mode, tolerance):
    image = vz.read_image(save(tmp_path / name, mode), size=32)
    assert image.shape == (32, 32, 3) and image.dtype == np.float32
    assert np.abs(image - RED).max() <= tolerance


def test_greyscale_one_bit_and_sixteen_bit(tmp_path):
    save(tmp_path / "grey.png", "L", colour=(90, 90, 90))
    save(tmp_path / "bit.png", "1", colour=(255, 255, 255))
    ramp = np.linspace(0, 65535, 64 * 64).reshape(64, 64).astype("uint16")
    Image.fromarray(ramp).save(tmp_path / "deep.png")
    assert np.abs(vz.read_image(tmp_path / "grey.png") - 90).max() <= 1
    assert (vz.read_image(tmp_path / "bit.png") == 255).all()
    deep = vz.read_image(tmp_path / "deep.png")
    assert deep.min() == 0 and deep.max() == 255
    np.testing.assert_allclose(deep[..., 0], ramp / 257, atol=0.51)


@pytest.mark.parametrize("name", ["deep.png", "deep.tif", "deep.pgm"])
@pytest.mark.parametrize("most", [0, 200, 255, 300, 1020, 65535])
def test_white_is_65535_in_every_picture_of_16_bits(tmp_path, name, most):
    ramp = np.linspace(0, most, 64).reshape(8, 8).astype("uint16")
    Image.fromarray(ramp).save(tmp_path / name)
    np.testing.assert_array_equal(vz.read_image(tmp_path / name)[..., 0], np.rint(ramp / 257))
    with Image.open(tmp_path / name) as picture:
        found = vz.load_images(picture, size=8).images
    np.testing.assert_array_equal(found, vz.read_image(tmp_path / name, size=8)[None])


def test_sixteen_bits_are_known_by_the_file_though_it_must_be_turned(tmp_path):
    ramp = np.linspace(0, 65535, 32).reshape(4, 8).astype("uint16")
    picture = Image.fromarray(ramp)
    picture.save(tmp_path / "turned.tif", tiffinfo={0x0112: 6})
    np.testing.assert_array_equal(vz.read_image(tmp_path / "turned.tif")[..., 0],
                                  np.rot90(np.rint(ramp / 257), -1))


@pytest.mark.parametrize(("values", "message"), [
    (np.linspace(0, 1, 64), "is scaled to 0-1"), (np.linspace(0, 1.2, 64), "by 255 and clip"),
    (np.linspace(-40, 200, 64), "holds values from -40 to 200"),
    (np.where(np.arange(64) == 5, np.nan, 9.0), "not finite"),
    (np.linspace(0, 900, 64), "values up to 900"),
    (np.arange(64, dtype="int32") * 1000, "values up to 6.3e.04"),
    (np.arange(64, dtype="int32") - 9, "values from -9 to 54")])
def test_floats_and_32_bits_are_judged_as_arrays_are(tmp_path, values, message):
    kind = "int32" if values.dtype == np.int32 else "float32"
    picture = Image.fromarray(values.reshape(8, 8).astype(kind))
    picture.save(tmp_path / "deep.tif")
    for given, name in ((tmp_path / "deep.tif", "deep.tif"), ({"b.tif": picture}, "b.tif"),
                        ([picture], "picture 0")):
        with pytest.raises(ValueError, match=rf"^{name} .*{message}"):
            vz.load_images(given)


@pytest.mark.parametrize("values", [np.zeros(64), np.linspace(0, 255, 64), np.arange(64) % 2,
                                    np.arange(64, dtype="int32")])
def test_floats_and_32_bits_of_the_right_range_are_pictures(tmp_path, values):
    kind = "int32" if values.dtype == np.int32 else "float32"
    Image.fromarray(values.reshape(8, 8).astype(kind)).save(tmp_path / "deep.tif")
    np.testing.assert_array_equal(vz.read_image(tmp_path / "deep.tif")[..., 2].ravel(),
                                  values.round())


def test_transparency_lies_over_white(tmp_path):
    Image.new("RGBA", (20, 20), (0, 0, 0, 0)).save(tmp_path / "clear.png")
    Image.new("LA", (20, 20), (0, 128)).save(tmp_path / "half.png")
    assert (vz.read_image(tmp_path / "clear.png") == 255).all()
    assert np.abs(vz.read_image(tmp_path / "half.png") - 127).max() <= 1


def test_exif_turns_the_picture(tmp_path):
    pixels = np.zeros((20, 40, 3), "uint8")
    pixels[:, 20:] = 255  # right half white
    picture = Image.fromarray(pixels)
    exif = picture.getexif()
    exif[0x0112] = 6  # "turn by 90 degrees clockwise to view"
    picture.save(tmp_path / "turned.png", exif=exif)
    image = vz.read_image(tmp_path / "turned.png")
    assert image.shape == (40, 20, 3)
    assert image[:18].max() == 0 and image[22:].min() == 255


def test_large_tiny_and_thin_pictures(tmp_path):
    save(tmp_path / "large.jpg", size=(6000, 4500))
    save(tmp_path / "dot.png", size=(1, 1))
    save(tmp_path / "thin.png", size=(900, 3))
    for name in ("large.jpg", "dot.png", "thin.png"):
        image = vz.read_image(tmp_path / name, size=224)
        assert image.shape == (224, 224, 3)
        assert np.abs(image - RED).max() <= 6


def test_the_crop_is_central_and_bicubic(tmp_path):
    rng = np.random.default_rng(0)
    picture = Image.fromarray(rng.integers(0, 255, (90, 150, 3), dtype="uint8"))
    picture.save(tmp_path / "p.png")
    image = vz.read_image(tmp_path / "p.png", size=56)
    resized = np.asarray(picture.resize((round(150 * 64 / 90), 64), Image.Resampling.BICUBIC))
    left = (resized.shape[1] - 56) // 2
    np.testing.assert_array_equal(image, resized[4:60, left : left + 56].astype("float32"))


def test_a_picture_of_the_networks_size_can_stay_whole(tmp_path):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 255, (40, 40, 3), dtype="uint8")
    Image.fromarray(pixels).save(tmp_path / "p.png")
    np.testing.assert_array_equal(vz.read_image(tmp_path / "p.png", size=40, crop=1), pixels)
    assert not np.array_equal(vz.read_image(tmp_path / "p.png", size=40), pixels)
    wide = Image.fromarray(rng.integers(0, 255, (40, 60, 3), dtype="uint8"))
    wide.save(tmp_path / "wide.png")
    np.testing.assert_array_equal(vz.read_image(tmp_path / "wide.png", size=40, crop=1),
                                  np.asarray(wide)[:, 10:50])


@pytest.mark.parametrize("given", ["file", "bytes", "PIL picture", "mapping", "beside an array"])
def test_pictures_of_ones_own_classes_are_shown_whole_however_given(tmp_path, given):
    pixels = np.random.default_rng(0).integers(0, 255, (40, 40, 3), dtype="uint8")
    path = tmp_path / "p.png"
    Image.fromarray(pixels).save(path)
    source = {"file": path, "bytes": path.read_bytes(), "PIL picture": Image.open(path),
              "mapping": {"p.png": path.read_bytes()},
              "beside an array": [path, pixels.astype("float32")]}[given]
    found = vz.load_images(source, size=40, classes=["a", "b"])
    np.testing.assert_array_equal(found.images[0], pixels)
    unread = vz.load_images(source, size=40, classes=["a", "b"]).subset([0])
    np.testing.assert_array_equal(unread.read([0])[0], pixels)  # a set keeps how files are read
    np.testing.assert_array_equal(vz.load_images(unread, size=40).read([0])[0], pixels)
    cut = vz.load_images(source, size=40, classes=["a", "b"], crop=0.875)
    np.testing.assert_array_equal(cut.subset([0]).images[0], vz.read_image(path, size=40))


@pytest.mark.parametrize("crop", [0, -1, 1.01, np.nan, "1", True])
def test_a_share_that_cannot_be_is_refused(crop):
    with pytest.raises(ValueError, match="crop is the share .* above 0 and at most 1, not"):
        vz.load_images(np.full((8, 8, 3), 90.0), crop=crop)


def test_gif_gives_its_first_frame(tmp_path):
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "two.gif", save_all=True, append_images=frames[1:])
    assert vz.read_image(tmp_path / "two.gif")[0, 0].tolist() == [255, 0, 0]


def test_folder_with_labels_and_a_broken_file(tmp_path):
    (tmp_path / "n02123159_tiger_cat").mkdir()
    save(tmp_path / "n02123159_tiger_cat" / "one.jpg")
    save(tmp_path / "n01440764_tench.png")
    save(tmp_path / "photo_243.png")
    save(tmp_path / "IMG_20240101.png")
    good = save(tmp_path / "cut.jpg", size=(400, 300))
    good.write_bytes(good.read_bytes()[:900])
    (tmp_path / "notes.txt").write_text("not a picture")
    with pytest.warns(UserWarning, match=r"1 unreadable.*cut\.jpg"):
        image_set = vz.load_images(tmp_path, size=32)
    labels = dict(zip(image_set.names, image_set.labels.tolist(), strict=True))
    assert labels == {"one": 282, "n01440764_tench": 0, "photo_243": -1, "IMG_20240101": -1}
    assert image_set.images.shape == (4, 32, 32, 3)


def test_empty_and_missing_folders(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no readable picture.*\.jpg"):
        vz.load_images(tmp_path)
    with pytest.raises(FileNotFoundError, match="not a folder"):
        vz.load_images(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="positive"):
        vz.load_images(tmp_path, size=0)


def test_limit_and_batches_and_subset(tmp_path):
    for i in range(7):
        save(tmp_path / f"p{i}.png", colour=(10 * i, 0, 0))
    image_set = vz.load_images(tmp_path, size=8, limit=6)
    batches = list(image_set.batches(4))
    assert [i.tolist() for i, _ in batches] == [[0, 1, 2, 3], [4, 5]]
    assert batches[1][1][1, 0, 0, 0] == 50
    few = image_set.subset([5, 0])
    assert few.names == ("p5", "p0") and few.images[:, 0, 0, 0].tolist() == [50, 0]


def test_packaged_pictures_are_named_right(vgg16, pictures):
    known = pictures.subset(np.flatnonzero(pictures.labels >= 0)[:20])
    assert len(known) == 20 and len(pictures) >= 28
    guesses = vz.classify(vgg16, known, top=5)
    wnids = [imagenet.CLASSES[i][0] for i in known.labels]
    right = [g[0][0] == w for g, w in zip(guesses, wnids, strict=True)]
    among_five = [w in [x[0] for x in g] for g, w in zip(guesses, wnids, strict=True)]
    assert sum(right) >= 14 and sum(among_five) >= 17
    for row in guesses:
        chances = [p for _, _, p in row]
        assert chances == sorted(chances, reverse=True) and 0 < sum(chances) <= 1.0001


def test_classify_without_a_classifier_names_the_remedy(tiny, noise):
    with pytest.raises(ValueError, match="weights='packaged'"):
        vz.classify(tiny, noise)


def test_a_single_picture_must_be_wrapped(vgg16):
    with pytest.raises(ValueError, match=r"image\[None\]"):
        vz.classify(vgg16, np.zeros((224, 224, 3)))


def test_vgg_sees_bgr_minus_the_mean(vgg16):
    received = vgg16.preprocess(np.array([[[[10.0, 20.0, 30.0]]]], "float32"))
    np.testing.assert_allclose(received[0, 0, 0], [30 - 103.939, 20 - 116.779, 10 - 123.68],
                               rtol=1e-6)
