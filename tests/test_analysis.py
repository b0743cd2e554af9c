"""One filter from hypothesis to verdict, in one call, on networks that take a second."""

import itertools

import keras
import numpy as np
import pandas as pd
import pytest

import vizutils as vz
from conftest import build_tiny_vgg
from techniques import analysis, circuits, claims

LAYER, FILTER = "block2_conv2", 2


@pytest.fixture(scope="module")
def net():
    return vz.as_network(build_tiny_vgg(), preprocess=lambda images: images / 128 - 1)


@pytest.fixture(scope="module")
def random_net():
    return vz.as_network(build_tiny_vgg(7), preprocess=lambda images: images / 128 - 1)


@pytest.fixture(scope="module")
def photographs():
    """The packaged pictures, 64 px, about half of them with a class."""
    return vz.load_images(size=64)


def spied(patch, read):
    """Let `read` collect the names of the pictures that any image set hands out."""
    whole = vz.ImageSet.read

    def spy(self, indices):
        read.update(self.names[i] for i in indices)
        return whole(self, indices)

    patch.setattr(vz.ImageSet, "read", spy)


@pytest.fixture(scope="module")
def found(net, random_net, photographs):
    """What `analyse` says, what its findings were, and which pictures each half read."""
    seen, known = {"observe": set(), "examine": set()}, {}

    def staged(name, whole):
        def stage(*args, **options):
            with pytest.MonkeyPatch.context() as patch:
                spied(patch, seen[name])
                return whole(*args, **options)
        return stage

    def findings(*args, whole=analysis._findings):
        known.update(made := whole(*args))
        return made

    def core(*args, whole=claims.core_findings, **options):
        made = whole(*args, **options)
        known.update({a: f for a, f in made[0].items() if a not in known})  # the network's first
        return made

    with pytest.MonkeyPatch.context() as patch:
        for name in seen:
            patch.setattr(analysis, name, staged(name, getattr(analysis, name)))
        patch.setattr(analysis, "_findings", findings)
        patch.setattr(claims, "core_findings", core)
        made = analysis.analyse(net, LAYER, FILTER, photographs, top=3, random_net=random_net,
                                progress=False)
    return made, known, seen


def test_a_filter_gets_a_verdict(found):
    made = found[0]
    assert made.verdict in (claims.SUPPORTED, claims.REFUTED, claims.UNDECIDED)
    assert made.verdict == claims.verdict(made.claims)
    asked = [p.about for p in made.observed.hypothesis.predictions]
    assert made.claims["about"].tolist() == asked
    assert set(made.tested.findings) == set(asked)
    assert not made.claims["found"].str.contains("not tested").any()
    assert f"Filter {FILTER} of {LAYER}" in made.observed.hypothesis.text
    assert len(made.tested.patches.images) == 9 and made.tested.use is None
    assert dict(zip(made.claims["about"], made.claims["found"], strict=True))["use"] == (
        "– (no classifier)")


def test_the_two_halves_share_no_picture(found, photographs):
    seen = found[2]
    known = set(photographs.names)
    looked_at, tested_on = seen["observe"] & known, seen["examine"] & known
    assert looked_at and tested_on and not looked_at & tested_on
    half_a, half_b = vz.split_halves(len(photographs))
    assert looked_at == {photographs.names[i] for i in half_a}
    assert tested_on == {photographs.names[i] for i in half_b}


PROPERTIES = {"family": ("net", "patch", "none"), "orientation": ("invariant", "selective", "none"),
              "polarity": ("dark", "light", "between"), "colour": ("invariant", "chromatic")}


def test_whatever_is_predicted_is_tested(found):
    asked = set()
    for values in itertools.product(*PROPERTIES.values()):
        for groups in ([], ["dogs"]):
            properties = dict(zip(PROPERTIES, values, strict=True))
            made = claims.hypothesise(LAYER, FILTER, properties, groups)
            asked |= {p.about for p in made.predictions}
    core = {p.about for p in found[0].observed.hypothesis.predictions} & set(claims.CORE)
    assert core and asked | core == set(found[1])


def test_findings_are_the_numbers_of_the_parts(found, net):
    tested, known = found[0].tested, found[1]
    kept = tested.kept.set_index("way")
    for about, way in (("orientation", "turned"), ("colour", "grey"), ("polarity", "inverted"),
                       ("arrangement", "phases")):
        assert (known[about].number, known[about].control) == tuple(
            kept.loc[way, ["kept", "control"]])
    cut = tested.fair.query("cut == 'named set' and control == 'any edges'").iloc[0]
    rest = tested.fair.query("cut == 'without its largest'").iloc[0]
    assert (known["cut"].number, known["cut"].control) == (cut["percentile"], rest["percentile"])
    assert known["cut"].words == f"{100 * cut['left']:.0f} % left"
    first = set(tested.edges.nlargest(3, "l2").channel)
    gives = set(tested.edges.assign(size=tested.edges.top.abs()).nlargest(3, "size").channel)
    assert known["ranking"].number == pytest.approx(len(first & gives) / 3)
    assert known["ranking"].control == 3 / 6
    assert known["signs"].number == tested.signs.right.mean() and known["signs"].approximate
    ranked = vz.rank_kernels(net, LAYER, FILTER, top=3)
    above = tested.signs.own > np.median(tested.signs.random)
    assert (tested.signs.right == (above == (ranked.sign_index > 0))).all()
    assert known["own turns"].number == tested.relatives.itself["response"].min()
    assert np.isnan(known["use"].number)


def test_core_findings_are_the_layers_numbers(found, net, photographs):
    made, known, _ = found
    half_b = photographs.subset(vz.split_halves(len(photographs))[1])
    evidence = claims.gather(net, LAYER, half_b, seed=1)
    numbers = claims.numbers(evidence, [made.observed.hypothesis])
    rates = claims.base_rates(numbers, [FILTER])
    for about in {p.about for p in made.observed.hypothesis.predictions} & set(numbers):
        finding, one = known[about], numbers[about]
        others = one.value[0, [f for f in range(6) if f != FILTER]]
        np.testing.assert_equal(
            (finding.number, finding.low, finding.high, finding.base, finding.control),
            (one.value[0, FILTER], one.low[0, FILTER], one.high[0, FILTER], rates[about][0],
             np.median(others)))
    assert made.tested.swap.table["verdict"].tolist() == claims.verdicts(
        numbers, [FILTER])[0].tolist()
    predicted = made.observed.hypothesis.description.from_features(evidence.features)
    r = np.corrcoef(predicted, evidence.answers[:, FILTER])[0, 1]
    assert known["predicts"].words == f"r ≈ {r:.2f}"


def test_base_rates_beside_altered_patches_are_of_other_filters(found):
    made, known, _ = found
    predicted = {p.about: p for p in made.observed.hypothesis.predictions}
    for about, way in analysis.DECIDES.items():
        if about in predicted:
            kept = made.tested.kept.attrs["others"][way]
            assert known[about].base == np.mean(
                [predicted[about].judge(n) == claims.SUPPORTED for n in kept])
            assert 0 <= known[about].base <= 1
        else:
            assert np.isnan(known[about].base)


def test_random_weights_stand_beside_the_numbers(found, random_net, photographs):
    made, known, _ = found
    given = {about: finding.random for about, finding in made.tested.findings.items()}
    random = {about: one.number for about, one in given.items() if one is not None}
    filled = {about for about, number in random.items() if np.isfinite(number)}
    core = {p.about for p in made.observed.hypothesis.predictions if p.core}
    assert filled == {*analysis.DECIDES, "cut", "ranking", *core} & set(given)
    assert {"predicts", "edges"} <= core <= set(claims.CORE)
    assert (made.claims["random weights"] != "–").sum() == len(filled)
    assert all(finding.random is None for finding in known.values())  # added afterwards
    half_b = photographs.subset(vz.split_halves(len(photographs))[1])
    patches = vz.top_patches(random_net, half_b, LAYER, FILTER)
    strong = circuits.windows(random_net, LAYER, FILTER, half_b, patches.table)
    edges = circuits.edge_table(strong, strong)
    shared = set(circuits.strongest(edges, "l2", 3)) & set(circuits.strongest(edges, "top", 3))
    assert random["ranking"] == pytest.approx(len(shared) / 3)
    evidence = claims.gather(random_net, LAYER, half_b, seed=1)
    numbers = claims.numbers(evidence, [made.observed.hypothesis])
    for about in core:
        assert random[about] == numbers[about].value[0, FILTER]
        assert given[about].low == numbers[about].low[0, FILTER]


def test_the_same_call_says_the_same(found, net, photographs):
    first = found[0]
    second = analysis.analyse(net, LAYER, FILTER, photographs, top=3, progress=False)
    assert first.observed.hypothesis == second.observed.hypothesis
    assert first.verdict == second.verdict
    random = ["random weights", "random too"]  # asked for once only
    pd.testing.assert_frame_equal(first.claims.drop(columns=random),
                                  second.claims.drop(columns=random))
    assert (second.claims["random weights"] == "–").all()
    for part in ("edges", "rankings", "shares", "cuts", "effects", "kept"):
        pd.testing.assert_frame_equal(getattr(first.tested, part), getattr(second.tested, part))


def test_a_layer_that_reads_the_picture_leaves_questions_open(net, photographs):
    made = analysis.analyse(net, "block1_conv1", 1, photographs.subset(range(20)), progress=False,
                            steps=4)
    said = made.claims.set_index("about")
    for about, words in (("signs", "the layer reads the picture itself"),
                         ("inhibition", "inputs are signed"), ("use", "no classifier"),
                         ("cut", "all 3 kernels are ranked"),
                         ("ranking", "all 3 kernels are ranked")):
        assert said.found[about] == f"– ({words})" and said.verdict[about] == claims.UNDECIDED
    assert made.tested.signs is None and made.tested.release is None


def test_unlabelled_pictures_say_nothing_about_classes(net, photographs):
    plain = vz.as_image_set(photographs.read(range(8)))
    made = analysis.analyse(net, LAYER, 1, plain, progress=False, steps=4)
    assert made.observed.groups.empty and "classes" not in made.claims["about"].tolist()
    # all six channels are ranked: none is left to compare pictures with
    said = made.claims.set_index("about").found
    assert said["signs"] == "– (no other channel to compare with)"


def with_filter(kernel, bias):
    """The tiny network with the weights of block2_conv2's filter 3 replaced."""
    model = build_tiny_vgg()
    layer = model.get_layer(LAYER)
    kernels, biases = (w.copy() for w in layer.get_weights())
    kernels[..., 3], biases[3] = kernel, bias
    layer.set_weights([kernels, biases])
    return vz.as_network(model, preprocess=lambda images: images / 128 - 1)


@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")
def test_a_dead_filter_supports_nothing_that_needs_a_response(photographs):
    made = analysis.analyse(with_filter(0, -1), "block2_conv2", 3, photographs.subset(range(12)),
                            top=3, progress=False, steps=4)
    said = made.claims.set_index("about")
    assert "no drawn thing" in made.observed.hypothesis.text
    assert not made.claims["core"].any()  # nothing is said, so nothing is claimed
    assert said.found["cut"] == said.found["ranking"] == "– (it never fires)"
    assert said.found["arrangement"] == "–"
    assert said.verdict["signs"] == claims.REFUTED  # kernels of zeros push nowhere
    assert made.verdict == claims.UNDECIDED


# --- what cannot be analysed --------------------------------------------------------------------


def test_what_cannot_be_analysed_is_refused_before_anything_long(net, photographs, monkeypatch):
    inputs = keras.Input((None, None, 3))
    deep = keras.layers.DepthwiseConv2D(3, name="depthwise")(
        keras.layers.Conv2D(4, 3, name="first")(inputs))
    grouped = keras.layers.Conv2D(4, 3, groups=2, name="grouped")(deep)
    odd = vz.as_network(keras.Model(inputs, grouped))
    monkeypatch.setattr(analysis.stimuli, "tuning", lambda *args, **options: pytest.fail("ran"))
    for layer, words in (("depthwise", "depthwise is a DepthwiseConv2D; .* plain convolutions"),
                         ("grouped", "plain convolutions"), ("third", "'third' not found")):
        with pytest.raises(ValueError, match=words):
            analysis.analyse(odd, layer, 0, photographs)
    with pytest.raises(ValueError, match="filters 0 to 5; 6 is out of range"):
        analysis.analyse(net, LAYER, 6, photographs)
    with pytest.raises(ValueError, match="every position of block5_conv1 sees padding at 64 px"):
        analysis.analyse(net, "block5_conv1", 0, photographs)
    with pytest.raises(ValueError, match=r"3 picture\(s\) cannot be halved"):
        analysis.analyse(net, LAYER, 0, photographs.subset(range(3)))


# --- upstream pictures --------------------------------------------------------------------------


def test_upstream_pictures_push_as_planted_kernels_say():
    inputs = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(6, 3, activation="relu", name="colours")(inputs)
    model = keras.Model(inputs, keras.layers.Conv2D(1, 3, name="unit")(x))
    opponent = 1.5 * np.eye(3) - 0.5  # red, green, blue against the two others
    colours = np.ones((3, 3, 1, 1)) * np.concatenate([opponent, -opponent], 1)
    unit = np.zeros((3, 3, 6, 1))
    unit[:, :, 0], unit[:, :, 1] = 1, -1
    model.get_layer("colours").set_weights([colours, np.zeros(6)])
    model.get_layer("unit").set_weights([unit, np.zeros(1)])
    net = vz.as_network(model, preprocess=lambda images: images / 128 - 1)
    ranking = vz.rank_kernels(net, "unit", 0)
    assert ranking.channel.tolist() == [0, 1]
    signs = analysis.upstream_signs(net, "unit", 0, ranking, steps=16, progress=False)
    assert signs.right.tolist() == [True, True] and signs.random.shape == (4,)
    red, green = signs.own
    assert red > signs.random.max() and green < np.median(signs.random)
    turned = ranking.assign(sign_index=-ranking.sign_index)
    again = analysis.upstream_signs(net, "unit", 0, turned, steps=16, progress=False)
    assert again.right.tolist() == [False, False]


def test_upstream_pictures_are_found_by_their_channel(net):
    ranking = vz.rank_kernels(net, "block2_conv2", 3, top=2)
    channels = ranking.channel.tolist()
    made = vz.maximize(net, "block2_conv1", channels[::-1], steps=4, size=32, seeds=2)
    found = analysis.upstream_signs(net, "block2_conv2", 3, ranking, upstream=made, steps=4,
                                    progress=False)
    inside = vz.receptive_field(net, "block2_conv2", input_size=32).unpadded
    maps = vz.activations(net, "block2_conv2", np.stack([made.of(c) for c in channels]),
                          pre_activation=True)
    np.testing.assert_allclose(found.own, maps[:, inside, inside, 3].mean((1, 2)), rtol=1e-5)


def test_upstream_pictures_that_do_not_fit(net):
    ranking = vz.rank_kernels(net, "block2_conv2", 3, top=2)
    made = vz.maximize(net, "block2_conv1", ranking.channel.tolist()[:1], steps=2, size=32)
    with pytest.raises(ValueError, match="no picture of filter"):
        analysis.upstream_signs(net, "block2_conv2", 3, ranking, upstream=made, progress=False)
    small = vz.maximize(net, "block2_conv1", ranking.channel, steps=2, size=12)
    with pytest.raises(ValueError, match="sees padding at 12 px"):
        analysis.upstream_signs(net, "block2_conv2", 3, ranking, upstream=small, progress=False)
    with pytest.raises(ValueError, match="reads the picture itself"):
        analysis.upstream_signs(net, "block1_conv1", 0, ranking)
    everything = vz.rank_kernels(net, "block2_conv2", 3, top=6)
    with pytest.raises(ValueError, match="all 6 channels that block2_conv2 reads are ranked"):
        analysis.upstream_signs(net, "block2_conv2", 3, everything)


def test_what_is_shared_changes_no_number(net, photographs):
    """Made once for a layer, it gives each filter what its own analysis gives."""
    shared = analysis.share(net, LAYER, photographs, progress=False)
    with pytest.MonkeyPatch.context() as patch:  # nothing of it is made again
        for module, name in ((analysis.stimuli, "tuning"), (claims, "of_half_a"),
                             (claims, "of_half_b"),
                             (analysis.layer_analysis.stimuli, "tuning")):
            patch.setattr(module, name, lambda *args, **options: pytest.fail("made again"))
        one = analysis.analyse(net, LAYER, FILTER, photographs, top=3, progress=False,
                               shared=shared)
    alone = analysis.analyse(net, LAYER, FILTER, photographs, top=3, progress=False)
    assert one.observed.hypothesis == alone.observed.hypothesis
    pd.testing.assert_frame_equal(one.claims, alone.claims)
    assert one.verdict == alone.verdict
    with pytest.raises(ValueError, match="what is shared is of block2_conv2, not of block1_conv2"):
        analysis.analyse(net, "block1_conv2", 0, photographs, progress=False, shared=shared)
