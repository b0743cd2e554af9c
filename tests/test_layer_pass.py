"""A layer in one pass: the numbers of the functions for one filter, interrupted or not."""

import json
import re
import shutil

import numpy as np
import pytest
from PIL import Image

import vizutils as vz
from conftest import build_tiny_vgg
from techniques import (
    alterations,
    analysis,
    circuits,
    claims,
    families,
    layer_analysis,
    layer_pass,
    stimuli,
)
from tools.explorer import __main__ as command
from tools.explorer import build

LAYER = "block2_conv2"  # 6 filters that see 14 px: large enough for descriptions


@pytest.fixture(scope="module")
def halves(shown):
    return [shown.subset(half) for half in layer_analysis.halves(shown, 0)]


@pytest.fixture(scope="module", autouse=True)
def small_blocks():
    """Three blocks of the layer's six filters."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layer_pass, "BLOCK", 2)
        yield


def run(net, shown, folder, **options):
    return layer_pass.run(net, LAYER, shown, folder=folder, progress=False, **options)


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """Where the finished pass lies."""
    return tmp_path_factory.mktemp("whole")


@pytest.fixture(scope="module")
def found(net, shown, kept):
    return run(net, shown, kept)


def test_a_filters_row_says_what_the_functions_for_one_filter_say(net, shown, halves, found):
    shared = analysis.share(net, LAYER, shown, progress=False)
    for filter in (1, 4):
        row = found.rows[filter]
        seen = analysis.observe(net, LAYER, filter, halves[0], shared=shared, progress=False)
        assert row["hypothesis"] == seen.hypothesis.text
        assert row["properties"] == seen.summary.properties
        findings, swap = claims.core_findings(shared.fresh, seen.hypothesis, filter)
        told = [p for p in seen.hypothesis.predictions if p.about in findings]
        table = claims.judge(told, findings).set_index("about")
        core = {one["about"]: one for one in row["claims"] if one["core"]}
        assert core.keys() == findings.keys() and core
        for about, one in core.items():
            assert (one["found"], one["verdict"]) == (table.found[about], table.verdict[about])
        assert row["verdict"] == swap.verdict and row["elsewhere"] == len(swap.supported)
        ranking, = [one for one in row["claims"] if one["about"] == "ranking"]
        assert ranking["found"] == "– (all 6 kernels are ranked)"  # as of one filter's analysis


def test_its_numbers_beside_the_verdict_are_theirs_too(net, shown, halves, found):
    level = stimuli.tuning(net, LAYER, image_set=halves[0], progress=False).mean
    below, own = families.response_agreement(net, ["block2_conv1", LAYER], halves[1], pictures=16)
    kernel = families.kernel_agreement(net, LAYER, families.correspondence(below))
    for filter in (0, 5):
        row = found.rows[filter]
        left = alterations.kept(net, LAYER, filter, halves[1], level=level,
                                controls=layer_pass.CONTROLS).set_index("way").kept
        for way, share in row["altered"].items():
            assert share == pytest.approx(left[way], rel=1e-3, nan_ok=True)
        nearest = families.relatives(filter, own, kernel).table
        assert [one[0] for one in row["relatives"]] == nearest["filter"].tolist()
        patches = vz.top_patches(net, halves[1], LAYER, filter, k=9)
        table = circuits.edge_table(
            circuits.windows(net, LAYER, filter, halves[1], patches.table),
            circuits.windows(net, LAYER, filter, halves[1],
                             circuits.random_places(net, LAYER, halves[1], 300)))
        np.testing.assert_allclose(found.gives[:, filter], table.top, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(found.elsewhere[:, filter], table.elsewhere, rtol=1e-4,
                                   atol=1e-5)
        np.testing.assert_allclose(found.response[filter], patches.table.value.mean(), rtol=1e-4)


def test_rankings_are_compared_as_for_one_filter(net, shown, halves, kept, found, tmp_path):
    shutil.copytree(kept, tmp_path / "kept")
    three = run(net, shown, tmp_path / "kept", top=3)  # of six channels; patches are there already
    seen = 0
    for filter, row in enumerate(three.rows):
        claim, = [one for one in row["claims"] if one["about"] == "ranking"]
        if not three.response[filter] > 0:
            assert claim["found"] == "– (it never fires)"  # as of one filter's analysis
            continue
        patches = vz.top_patches(net, halves[1], LAYER, filter, k=9)
        table = circuits.edge_table(*(circuits.windows(net, LAYER, filter, halves[1], places)
                                      for places in (patches.table, patches.table)))
        pairs = circuits.compare_rankings(table, count=3).set_index(["ranking", "other"])
        assert claim["found"] == f"{pairs.overlap['l2', 'top'] / 3:.2f}"
        seen += 1
    assert seen > 1


def test_patches_are_the_strongest_and_then_some_that_no_page_shows(net, shown, found):
    best = vz.top_patches(net, shown, LAYER, 3, k=len(shown))
    values = [value for _, value in found.rows[3]["patches"]]
    assert values[:9] == pytest.approx(best.table.value[:9].tolist(), rel=1e-5)
    assert len(values) == layer_pass.SHOWN + layer_pass.UNSEEN
    assert values[-1] == pytest.approx(best.table.value.iloc[-1], rel=1e-5)  # the weakest, too
    np.testing.assert_allclose(found.patches[3, 0], best.images[0], atol=0.6)


def same(one, two):
    assert one.rows == two.rows
    for name in ("gives", "elsewhere", "response", "patches", "drawn"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))


DECIMAL = re.compile(r"-?\d+\.\d+(?:e[-+]?\d+)?")
READ = ("filter", "properties", "patches", "altered", "relatives", "family rule", "invariant")


def alike(one, two):
    """The same but for rounding, which other threads or another library do otherwise.

    A description chooses among thousands of terms: of the tiny network, several predict equally
    well, and rounding decides. So it has to be the same for some filters, not for all.
    """
    rows = [json.dumps([[row[name] for name in READ] for row in found.rows])
            for found in (one, two)]
    assert DECIMAL.sub("#", rows[0]) == DECIMAL.sub("#", rows[1])
    numbers = [[float(number) for number in DECIMAL.findall(text)] for text in rows]
    np.testing.assert_allclose(*numbers, rtol=1e-3, atol=0.011)  # findings have two decimals
    same_words = [a["hypothesis"] == b["hypothesis"]
                  for a, b in zip(one.rows, two.rows, strict=True)]
    assert np.mean(same_words) >= 0.3, same_words
    for name in ("gives", "elsewhere", "response"):
        np.testing.assert_allclose(getattr(one, name), getattr(two, name), rtol=1e-3, atol=1e-3)
    for name in ("patches", "drawn"):
        apart = np.abs(getattr(one, name).astype(float) - getattr(two, name))
        assert apart.mean() < 1, name  # of 255


def forbid(*args, **options):
    raise AssertionError("nothing should be computed again")


def test_an_interrupted_pass_goes_on_and_ends_the_same(net, shown, found, tmp_path, monkeypatch):
    honest, calls = layer_pass.alterations.alter, []

    def stopping(*args, **options):
        calls.append(1)
        if len(calls) > 4 * 3:  # in the second block: three filters' four ways are done
            raise KeyboardInterrupt
        return honest(*args, **options)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(alterations, "alter", stopping)
        run(net, shown, tmp_path)
    home, = tmp_path.iterdir()
    assert [path.name[:12] for path in home.iterdir()] == ["patches_0000"]
    calls.clear()
    with monkeypatch.context() as patch:
        patch.setattr(alterations, "alter", lambda *a, **o: calls.append(1) or honest(*a, **o))
        same(run(net, shown, tmp_path), found)
    assert len(calls) == 4 * 4  # of the two blocks that were missing


def test_two_workers_find_the_same_numbers(tmp_path, monkeypatch):
    from distributed import LocalCluster  # takes a second to load

    build_tiny_vgg().save(tmp_path / "tiny.keras")
    (tmp_path / "pictures").mkdir()
    for number, image in enumerate(vz.load_images(size=96).images[:12]):
        Image.fromarray(image.astype("uint8")).save(tmp_path / f"pictures/{number:02d}.png")
    words = [f"NETWORK={tmp_path / 'tiny.keras'}", f"PICTURES={tmp_path / 'pictures'}"]

    def spread(count):  # a process for each worker: none knows what other tests have set here
        with LocalCluster(n_workers=count, threads_per_worker=1, host="127.0.0.1",
                          scheduler_port=0, dashboard_address=None) as cluster:
            options = command.read_words([*words, f"SCHEDULER={cluster.scheduler_address}"])
            net, pictures = build.load(options)
            with command.spread_over(options) as make_of, monkeypatch.context() as patch:
                patch.setattr(layer_pass.Common, "make", forbid)  # here; workers have their own
                return run(net, pictures, tmp_path / str(count), make=make_of(LAYER))

    alike(spread(2), spread(1))


def test_a_finished_pass_is_only_read(net, shown, kept, found, monkeypatch):
    for owner, name in ((analysis, "share"), (vz, "image_maxima"), (stimuli, "summary")):
        monkeypatch.setattr(owner, name, forbid)
    same(run(net, shown, kept), found)
    same(layer_pass.stored(net, LAYER, layer_pass.digest_of(shown), folder=kept), found)


HARMS = {"cut off": lambda content: content[: len(content) // 2], "emptied": lambda content: b"",
         "nonsense": lambda content: b"PK\x03\x04" + content[::-1]}


@pytest.mark.parametrize("kind", ["patches_0002", "claims_0004", "usual"])
def test_a_damaged_block_is_missed(net, shown, kept, found, tmp_path, kind):
    shutil.copytree(kept, tmp_path / "kept")
    path, = tmp_path.glob(f"kept/*/{kind}*")
    content, digest = path.read_bytes(), layer_pass.digest_of(shown)
    for harm in HARMS.values():
        path.write_bytes(harm(content))
        assert layer_pass.stored(net, LAYER, digest, folder=tmp_path / "kept") is None
    path.unlink()
    assert layer_pass.stored(net, LAYER, digest, folder=tmp_path / "kept") is None


def test_damaged_blocks_are_made_again(net, shown, kept, found, tmp_path):
    shutil.copytree(kept, tmp_path / "kept")
    for kind, harm in zip(("patches_0002", "claims_0004", "usual"), HARMS.values(), strict=True):
        path, = tmp_path.glob(f"kept/*/{kind}*")
        path.write_bytes(harm(path.read_bytes()))
    same(run(net, shown, tmp_path / "kept"), found)


def test_other_pictures_or_weights_have_a_pass_of_their_own(net, shown):
    digest = layer_pass.digest_of(shown)
    other = vz.as_network(build_tiny_vgg(1), preprocess=lambda images: images / 128 - 1)
    homes = {layer_pass.home_of(net, LAYER, digest), layer_pass.home_of(other, LAYER, digest),
             layer_pass.home_of(net, LAYER, layer_pass.digest_of(shown.subset(range(11)))),
             layer_pass.home_of(net, LAYER, digest, seed=1),
             layer_pass.home_of(net, "block2_conv1", digest)}
    assert len(homes) == 5


def test_a_field_too_small_for_descriptions_is_judged_by_its_properties(net, shown, tmp_path):
    found = layer_pass.run(net, "block1_conv1", shown, folder=tmp_path, progress=False)
    assert all(row["description"] == "" and row["r"] is None for row in found.rows)
    assert {row["verdict"] for row in found.rows} <= {"supported", "undecided", "refuted"}
    json.dumps(found.rows, allow_nan=False)


def test_verdicts_are_counted_with_intervals(found):
    counts = found.counts()
    assert counts["filters"].sum() == 6 and counts["share"].sum() == pytest.approx(1)
    assert ((counts["low"] <= counts["share"]) & (counts["share"] <= counts["high"])).all()
    assert found.table["verdict"].tolist() == [row["verdict"] for row in found.rows]
    for name, values in found.table[list(found.rows[0]["properties"])].items():
        assert values.tolist() == [row["properties"][name] for row in found.rows]


@pytest.mark.parametrize(("layer", "filters", "says"), [
    ("block9", None, "layer 'block9' not found"), (LAYER, [6], "6"),
    ("block1_pool", None, "block1_pool")])
def test_what_is_not_there_is_refused_before_the_long_part(net, shown, tmp_path, monkeypatch,
                                                           layer, filters, says):
    monkeypatch.setattr(vz, "image_maxima", forbid)
    with pytest.raises(ValueError, match=says):
        layer_pass.run(net, layer, shown, filters=filters, folder=tmp_path)
