"""What the explorer's pages say, and the files that say it; no browser."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import vizutils as vz
from techniques import explorer, layer_pass, pathways
from tools.explorer import __main__ as command
from tools.explorer import build, sprites

SAID = build.Said("vz.load_network('tiny.keras')", "vz.load_images(size=96)",
                  'make explorer NETWORK="tiny.keras"')
LAYERS = ("block1_conv2", "block2_conv1")


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    home = tmp_path_factory.mktemp("kept")
    return build.Places(home / "atlas", home / "passes")


@pytest.fixture(scope="module")
def site(net, shown, places, tmp_path_factory):
    folder = tmp_path_factory.mktemp("explorer")
    build.build(net, folder, SAID, layers=LAYERS, image_set=shown, places=places, steps=2,
                progress=False)
    return folder


def data_of(path):
    """What a data file hands to the page: its name and value."""
    name, value = re.fullmatch(r'explorer\.add\(("[^"]+"),(.*)\);\n', path.read_text(),
                               re.DOTALL).groups()
    return json.loads(name), json.loads(value)


# --- weights and stored answers, all at once ------------------------------------------------


@pytest.mark.parametrize("layer", ["block1_conv1", "block2_conv2", "block5_conv3"])
def test_kernels_are_ranked_as_for_one_filter(net, layer):
    found = explorer.inputs(net, layer)
    for filter in range(net.channels(layer)):
        table = vz.kernel_table(net, layer, filter)
        np.testing.assert_array_equal(found.order[:, filter], table.channel)
        np.testing.assert_array_equal(found.kind[table.channel, filter], table.kind)
        np.testing.assert_allclose(found.l2[table.channel, filter], table.l2)
        listed = vz.rank_kernels(net, layer, filter, top=3)
        assert found.ranked(filter, 3) == listed.channel.tolist()
        assert found.share(filter, found.ranked(filter, 3)) == pytest.approx(
            listed.attrs["l2_share"])


def test_mostly_zero_kernels_are_not_listed(net):
    kernel, bias = net.layer("block2_conv1").get_weights()
    kernel[:, :, 1, 2] *= 1e-4
    changed = net.with_weights({"block2_conv1": [kernel, bias]}, "one kernel nearly cut")
    found = explorer.inputs(changed, "block2_conv1")
    assert found.ranked(2, 10) == vz.rank_kernels(changed, "block2_conv1", 2).channel.tolist()
    assert 1 not in found.ranked(2, 10) and found.mostly_zero[1, 2]


@pytest.mark.parametrize("layer", ["block1_conv1", "block2_conv2"])  # the second through a pool
def test_readers_are_the_clients_of_one_filter(net, layer):
    found = explorer.readers(net, layer, top=4)
    for filter in range(net.channels(layer)):
        table = pathways.clients(net, layer, filter, top=4)
        assert [row[:2] for row in found.top[filter]] == list(
            zip(table["layer"], table["filter"], strict=True))
        np.testing.assert_allclose(
            [[row[2], row[3], row[5], row[6]] for row in found.top[filter]],
            table[["l2", "sign_index", "rank", "share"]], rtol=1e-6)
        assert [row[4] for row in found.top[filter]] == table["kind"].tolist()
        assert found.percentile[filter] == table.attrs["percentile"]
        assert found.excited[filter] == pytest.approx(table.attrs["excited"])


def test_nothing_reads_the_last_layer(net):
    assert explorer.readers(net, "block5_conv3").top == [[]] * 8


def test_groups_are_those_of_one_filters_table(vgg16):
    found = explorer.groups(vgg16, "block2_conv2")
    for filter in (3, 90):
        table = vz.class_table(vgg16, "block2_conv2", filter, own=True)
        one = vz.group_table(table.sort_values("index")).set_index("group").loc[found.names]
        np.testing.assert_allclose(found.difference[filter], one.difference, atol=1e-9)
        np.testing.assert_allclose(found.p_holm[filter], one.p_holm, atol=1e-9)
        assert found.classes[filter] == table.label[:5].tolist()
        clear = one[(one.p_holm < 0.05) & (one.difference > 0)]
        assert set(found.clear(filter)) == set(clear.index)


def test_a_network_without_stored_answers_has_no_groups(net):
    layer = explorer.read(net, "block1_conv2")
    assert layer.groups is None
    assert explorer.unit(layer, 0)["groups"] == [] and "group" not in explorer.entry(layer)["tags"]


# --- words ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kinds", "word"), [
    (["mostly excitatory"] * 6 + ["mixed"] * 4, "excitatory kernels"),
    (["mostly inhibitory"] * 6 + ["mostly excitatory"] * 4, "inhibitory kernels"),
    (["mostly inhibitory"] * 5 + ["mostly excitatory"] * 5, "mixed kernels"),
    (["mixed"] * 10, "mixed kernels"), ([], "mixed kernels")])
def test_kernels_are_named_by_what_most_of_them_are(kinds, word):
    assert explorer.words.kernels_word(kinds) == word


def test_words_come_from_rows(net, shown, places, site):
    passed = layer_pass.stored(net, "block2_conv1", layer_pass.digest_of(shown),
                               folder=places.passes)
    layer = explorer.Layer(**{**vars(explorer.read(net, "block2_conv1")), "analysed": passed})
    tags = explorer.entry(layer)["tags"]
    for filter, row in enumerate(passed.rows):
        def said(kind, at=filter):
            return [tags[kind]["words"][i] for i in tags[kind]["of"][at]]

        assert said("verdict") == [row["verdict"]]
        wanted = explorer.words.PROPERTIES["orientation"].get(row["properties"]["orientation"])
        assert said("orientation") == ([wanted] if wanted else [])


# --- files -------------------------------------------------------------------------------------


def test_sprites_hold_every_picture_where_the_page_looks(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (70, 1, 1, 1, 3)).astype("uint8")
    images = np.tile(images, (1, 1, 16, 16, 1))  # of one colour each: WebP keeps it nearly
    sheet = sprites.write(images, tmp_path, "a_picture")
    assert sheet["files"] == ["a_picture_0.webp", "a_picture_1.webp"]
    for filter in (0, 9, 63, 64, 69):
        with Image.open(tmp_path / sheet["files"][filter // sheet["per"]]) as file:
            pixels = np.asarray(file.convert("RGB"))
        row, column = divmod(filter % sheet["per"], sheet["columns"])
        middle = pixels[row * 16 + 8, column * 16 + 8].astype(int)
        assert np.abs(middle - images[filter, 0, 0, 0]).max() < 40


def test_several_pictures_of_a_filter_lie_in_its_row(tmp_path):
    images = np.zeros((3, 4, 8, 8, 3), "uint8")
    images[2, 3] = 255
    sheet = sprites.write(images, tmp_path, "b")
    with Image.open(tmp_path / sheet["files"][0]) as file:
        assert file.size == (32, 24) and np.asarray(file.convert("L"))[20, 28] > 240


def test_every_layer_has_its_file_and_every_filter_its_page(net, site):
    name, index = data_of(site / "data/index.js")
    assert name == "index"
    assert [layer["name"] for layer in index["layers"]] == list(net.conv_layers)
    for layer in index["layers"]:
        name, units = data_of(site / layer["data"])
        assert name == f"units/{layer['name']}" and len(units) == layer["filters"]
        assert len(layer["texts"]) == len(layer["signs"]) == layer["filters"]
        for unit in units:
            assert len(unit["l2"]) and {edge["c"] for edge in unit["edges"]} >= set(unit["l2"])
        for sheet in layer["sprites"].values():
            assert all((site / "pictures" / file).exists() for file in sheet["files"])


def test_layers_that_were_asked_for_have_pictures_and_rows_and_their_inputs_pictures(site):
    layers = {layer["name"]: layer for layer in data_of(site / "data/index.js")[1]["layers"]}
    for name in LAYERS:
        assert set(layers[name]["sprites"]) == {"picture", "negative", "patches", "drawn"}
        assert layers[name]["analysed"] == layers[name]["filters"]
        units = data_of(site / layers[name]["data"])[1]
        assert all(unit["analysis"] and set(unit["pictures"]) == {"picture", "negative"}
                   for unit in units)
        table = pd.read_csv(site / layers[name]["table"])
        assert table["verdict"].tolist() == [unit["analysis"]["verdict"] for unit in units]
    assert set(layers["block1_conv1"]["sprites"]) == {"picture"}
    assert layers["block3_conv1"]["sprites"] == {} and not layers["block3_conv1"]["analysed"]


def test_contributions_are_shares_of_the_response(net, shown, places, site):
    passed = layer_pass.stored(net, "block2_conv1", layer_pass.digest_of(shown),
                               folder=places.passes)
    units = data_of(site / "data/block2_conv1.js")[1]
    filter = int(np.flatnonzero(passed.response > 0)[0])
    edges = {edge["c"]: edge for edge in units[filter]["edges"]}
    for channel, edge in edges.items():
        whole = passed.response[filter]
        assert edge["gives"] == pytest.approx(passed.gives[channel, filter] / whole, rel=1e-3)
        assert edge["loses"] == pytest.approx(
            (passed.gives[channel, filter] - passed.elsewhere[channel, filter]) / whole,
            rel=1e-3, abs=1e-4)
    given = [abs(edges[c]["gives"]) for c in units[filter]["gives"]]
    assert given == sorted(given, reverse=True)


def files(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes()
            for path in sorted(folder.rglob("*")) if path.is_file()}


def test_an_interrupted_build_goes_on_to_the_same_site(net, shown, site, tmp_path, monkeypatch):
    places = build.Places(tmp_path / "atlas", tmp_path / "passes")
    honest = layer_pass.run

    def stopping(net, name, *args, **options):
        if name == LAYERS[1]:
            raise KeyboardInterrupt
        return honest(net, name, *args, **options)

    def make():
        build.build(net, tmp_path / "site", SAID, layers=LAYERS, image_set=shown, places=places,
                    steps=2, progress=False)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(layer_pass, "run", stopping)
        make()
    make()
    assert files(tmp_path / "site") == files(site)


def test_a_later_build_keeps_what_was_made_and_takes_away_what_is_stale(net, shown, site, places,
                                                                        tmp_path):
    for part in ("data", "pictures"):
        (tmp_path / part).mkdir()
        (tmp_path / part / "old").write_text("of an earlier build")
    build.build(net, tmp_path, SAID, image_set=shown, places=places, progress=False)
    assert files(tmp_path) == files(site)


@pytest.mark.parametrize("harm", ["index.json", "sheet.png", "claims"])
def test_a_damaged_cache_is_as_if_it_were_not_there(net, shown, site, places, tmp_path, harm):
    own = build.Places(tmp_path / "atlas", tmp_path / "passes")
    shutil.copytree(places.atlas, own.atlas)
    shutil.copytree(places.passes, own.passes)
    for path in [*own.atlas.glob(f"*block2_conv1*/{harm}"), *own.passes.glob(f"*block2*/{harm}*")]:
        path.write_bytes(path.read_bytes()[:20])
    build.build(net, tmp_path / "site", SAID, image_set=shown, places=own, progress=False)
    layers = {layer["name"]: layer
              for layer in data_of(tmp_path / "site/data/index.js")[1]["layers"]}
    lost = "analysed" if harm == "claims" else "sprites"
    whole = {layer["name"]: layer for layer in data_of(site / "data/index.js")[1]["layers"]}
    assert layers["block2_conv1"][lost] != whole["block2_conv1"][lost]
    assert layers["block1_conv2"] == whole["block1_conv2"]
    build.build(net, tmp_path / "site", SAID, layers=LAYERS, image_set=shown, places=own, steps=2,
                progress=False)
    assert files(tmp_path / "site") == files(site)


def test_what_the_docs_say_of_a_layer_is_what_was_measured():
    root = Path(__file__).resolve().parents[1]
    said = (root / "docs/explorer.md").read_text(encoding="utf-8")
    rows = json.loads((root / "data/descriptions_block3_conv2.json").read_text("utf-8"))
    count = pd.Series([row["verdict"] for row in rows]).value_counts()
    assert re.search(rf"{count.supported} of {len(rows)} filters, refutes {count.refuted} and "
                     rf"leaves {count.undecided}\s+undecided", said)
    table = pd.read_json(root / "data/layer_block3_conv2.json")
    families = re.search(r"Best drawn stimuli: (.*?); (\d+) answer to nothing", said, re.DOTALL)
    counts = table["family"].value_counts().drop("none")
    assert list(map(int, re.findall(r"\d+", families[1]))) == counts.tolist()
    assert int(families[2]) == (table["family"] == "none").sum()
    assert f"median r is {table['r'].median():.2f}" in said
    assert (f"{(table['orientation'] == 'selective').sum()} prefer one orientation and "
            f"{(table['orientation'] == 'invariant').sum()} mind none; "
            f"{(table['variants'] == 'family').sum()} belong to a family") in said
    left = pd.DataFrame(rows).query("verdict != 'supported'")
    assert f"{(left['predicts'] >= 95).sum()} of these {len(left)} pass the claim" in said
    assert (left.query("verdict == 'refuted'")["hue"] < 0).all()
    named = re.search(r"Not explained: (.*?) are refuted; (.*?)\s+are undecided", said, re.DOTALL)
    for text, verdict in zip(named.groups(), ("refuted", "undecided"), strict=True):
        assert list(map(int, re.findall(r"\d+", text))) == [
            row["filter"] for row in rows if row["verdict"] == verdict]


# --- the command ---------------------------------------------------------------------------------


def test_the_command_says_how_its_network_and_pictures_are_loaded():
    options = command.read_words(["LAYERS=a b", "PICTURES=my cats", "NETWORK=own.keras"])
    said = command.how(options)
    assert said.net == "vz.load_network('own.keras', weights='auto')"
    assert said.pictures == (
        "vz.load_images('my cats', size=net.input_size, classes=net.classes)")
    assert said.command == 'make explorer NETWORK="own.keras" PICTURES="my cats"'
    assert command.how(command.read_words([])).net == (
        "vz.load_network('vgg16', weights='packaged')")


def test_words_that_are_no_options_are_refused():
    with pytest.raises(ValueError, match="LAYER is no option; there are LAYERS, NETWORK"):
        command.read_words(["LAYER=block3_conv2"])


def test_layers_without_pages_are_refused_before_anything_is_drawn(net, tmp_path, monkeypatch):
    monkeypatch.setattr(vz, "atlas", None)
    with pytest.raises(ValueError, match="layer 'block9' has no pages; .*block5_conv3"):
        build.build(net, tmp_path, SAID, layers=["block9"])


def test_a_picture_below_the_photographs_is_known_to_be_weak(vgg16, tmp_path):
    for sign in (1, -1):
        vz.atlas(vgg16, "block1_conv1", steps=12, size=16, sign=sign, folder=tmp_path,
                 progress=False)
    known = build.drawn(vgg16, "block1_conv1", tmp_path, 1)[1].values()
    assert {one["weak"] for one in known} == {True, False}
    assert all(one["weak"] == (one["percentile"] < 95) for one in known)
    least = build.drawn(vgg16, "block1_conv1", tmp_path, -1)[1].values()
    assert not any(one["weak"] for one in least)  # they are meant to be
