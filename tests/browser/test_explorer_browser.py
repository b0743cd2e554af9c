"""The explorer, opened from the disk in a real browser.

A small network of four to eight filters a layer, two of its layers drawn and analysed.
"""

import json
import os
import re
import shutil

import keras
import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe

import vizutils as vz
from tools.explorer import build

WIDTHS = (390, 1280, 1920)
DRAWN = "block2_conv1"  # drawn and analysed; what it reads is drawn as well
BARE = "block3_conv1"  # nothing was made of it
PATIENCE = 60_000  # milliseconds: on a machine that does other things, too


def small_network():
    """Five seeded convolutions in three blocks, named as VGG16's are."""
    rng = np.random.default_rng(0)
    x = inputs = keras.Input((None, None, 3))
    for name, filters in (("block1_conv1", 4), ("block1_conv2", 4), ("block2_conv1", 6),
                          ("block2_conv2", 6), ("block3_conv1", 8)):
        layer = keras.layers.Conv2D(filters, 3, padding="same", activation="relu", name=name)
        x = layer(x)
        shape = layer.kernel.shape
        layer.set_weights([rng.normal(0, (2 / np.prod(shape[:3])) ** 0.5, shape),
                           rng.normal(0, 0.1, filters)])
        if name in ("block1_conv2", "block2_conv2"):
            x = keras.layers.MaxPooling2D(name=f"{name[:6]}_pool")(x)
    return keras.Model(inputs, x, name="small")


@pytest.fixture(scope="module")
def pictures():
    return vz.load_images(size=64).subset(range(20))


@pytest.fixture(scope="module")
def site(tmp_path_factory, pictures):
    """The explorer's page of a network in a file, as `make explorer NETWORK=...` writes it."""
    home = tmp_path_factory.mktemp("explorer")
    small_network().save(home / "tiny.keras")
    net = vz.load_network(home / "tiny.keras")
    said = build.Said(f"vz.load_network({str(home / 'tiny.keras')!r})",
                      "vz.load_images(size=64).subset(range(20))", "make explorer NETWORK=tiny")
    return build.build(net, home / "site", said, layers=[DRAWN],
                       image_set=pictures, steps=2, progress=False,
                       places=build.Places(home / "atlas", home / "passes"))


@pytest.fixture(scope="module")
def network(site):
    """Its name, the first part of every address."""
    text = (site.parent / "data/index.js").read_text()
    return json.loads(re.search(r'"network":("[^"]+")', text)[1])


@pytest.fixture
def visit(browser, site, network):
    """Open an address in a tab of its own; what goes wrong on the page is kept in `problems`."""
    pages = []

    def visit(*parts, asked="", width=1280):
        page = browser.new_page()
        pages.append(page)
        page.problems, page.requests = [], []
        page.on("pageerror", lambda problem: page.problems.append(str(problem)))
        page.on("requestfailed", lambda request: page.problems.append(request.url))
        page.on("request", lambda request: page.requests.append(request.url))
        page.set_viewport_size({"width": width, "height": 900})
        go(page, *parts, asked=asked)
        return page

    def go(page, *parts, asked=""):
        page.goto(f"{site.as_uri()}#{'/'.join(map(str, (network, *parts)))}{asked}")
        arrived(page)

    visit.go = go
    yield visit
    problems = [problem for page in pages for problem in page.problems]
    for page in pages:
        page.close()
    assert not problems


def arrived(page, part=""):
    """Wait until the page of the address is there, whose address holds `part`."""
    page.wait_for_function("""part => location.hash.includes(part)
        && document.getElementById("page").dataset.address === location.hash""", arg=part)


def as_number(text):
    """What a page shows as a number."""
    return float(text.replace("−", "-").replace(",", ""))


def heading(page, text):
    page.get_by_role("heading", level=1, name=text, exact=True).wait_for(timeout=PATIENCE)


def tiles(page):
    """The filters on a sheet, in its order, laid out already or not."""
    return [int(name) for name in page.locator(".tile .name").all_text_contents()]


def test_from_a_filter_to_its_strongest_input_and_back(visit, network):
    page = visit(DRAWN, 2)
    strongest = page.locator(".edges li").first.get_by_role("link")
    channel = int(strongest.inner_text().split()[-1])
    strongest.click()
    heading(page, f"block1_conv2, filter {channel}")
    assert page.url.endswith(f"#{network}/block1_conv2/{channel}")
    assert page.title() == f"block1_conv2, filter {channel} · {network}"
    page.go_back()
    heading(page, f"{DRAWN}, filter 2")
    client = page.get_by_role("heading", name="Who reads it").locator("..").get_by_role(
        "link").first
    name = client.inner_text()
    client.click()
    heading(page, name)
    assert name.startswith("block2_conv2, filter ")


def test_everything_comes_from_the_disk_and_no_link_is_broken(visit, site):
    page = visit()
    data = page.evaluate("""() => explorer.index().layers.map(
        layer => ({name: layer.name, filters: layer.filters}))""")
    addresses = page.evaluate("""async () => {
        const index = explorer.index(), all = new Set();
        const links = (body) => body.flat(9).filter(Boolean).flatMap(
            one => [one, ...one.querySelectorAll("*")]).filter(one => one.tagName === "A")
            .forEach(one => all.add(one.getAttribute("href")));
        links(explorer.home({}).body);
        for (const layer of index.layers) {
            links(explorer.layerPage(layer, {}).body);
            for (let f = 0; f < layer.filters; f++) links((await explorer.unitPage(layer, f)).body);
        }
        return [...all];
    }""")
    known = {(layer["name"], str(f)) for layer in data for f in range(layer["filters"])}
    seen = set()
    tables = [address for address in addresses if address.startswith("data/")]
    assert tables == [f"data/{DRAWN}.csv"] and (site.parent / tables[0]).exists()
    for address in set(addresses) - set(tables):
        path = address.partition("#")[2].partition("?")[0].split("/")
        layers = {layer["name"] for layer in data}
        assert len(path) == 1 or path[1] in layers, address
        if len(path) > 2 and path[2] != "quiz":
            assert (path[1], path[2]) in known, address
            seen.add((path[1], path[2]))
        if len(path) > 3:
            assert path[3] == "with" and (path[4], path[5]) in known, address
    assert len(addresses) > 60 and {name for name, _ in seen} == {one["name"] for one in data}
    assert page.requests and all(url.startswith(("file:", "data:")) for url in page.requests)


def values(page, *, rising):
    """The six numbers below a sheet's filters, once the page has put them in order."""
    page.wait_for_function("""rising => {
        const numbers = [...document.querySelectorAll(".tile .value")].map(
            value => parseFloat(value.textContent));
        return numbers.length === 6 && numbers.every((number, i) =>
            i === 0 || (rising ? number >= numbers[i - 1] : number <= numbers[i - 1]));
    }""", arg=rising, timeout=PATIENCE)
    return [float(text) for text in page.locator(".tile .value").all_inner_texts()]


def test_search_choice_and_order_lead_to_the_filters_they_name(visit):
    page = visit(DRAWN)
    assert tiles(page) == list(range(6))
    tags = page.evaluate(f"() => explorer.layerOf('{DRAWN}').tags")
    word = tags["kernels"]["words"][0]
    wanted = [f for f, of in enumerate(tags["kernels"]["of"]) if 0 in of]
    page.keyboard.press("/")
    page.keyboard.type(word)
    page.get_by_text(f"for “{word}”").wait_for(timeout=PATIENCE)
    assert tiles(page) == wanted and page.locator("#words").input_value() == word
    page.reload()  # the search is in the address
    page.get_by_text(f"for “{word}”").wait_for(timeout=PATIENCE)
    assert tiles(page) == wanted
    page.get_by_role("button", name="clear").click()
    page.get_by_text("6 of 6 filters").first.wait_for(timeout=PATIENCE)
    verdict = tags["verdict"]["words"][0]
    page.get_by_label("verdict").select_option(verdict)
    arrived(page, "verdict=")
    assert tiles(page) == [f for f, of in enumerate(tags["verdict"]["of"]) if 0 in of]
    page.get_by_role("button", name="clear").click()
    page.get_by_label("sort by").select_option("outgoing")
    arrived(page, "sort=outgoing")
    falling = values(page, rising=False)
    page.get_by_label("order").select_option("rising")
    arrived(page, "order=rising")
    assert values(page, rising=True) == falling[::-1]


def test_words_are_looked_for_as_the_page_says(visit):
    page = visit()
    found = page.evaluate("""() => {
        const tags = (kind, words, of) => ({[kind]: {words, of}});
        const one = {name: "a", filters: 3, texts: ["tench", "likes a dark bar", "Fénnec"],
          tags: {...tags("polarity", ["dark", "light"], [[0], [1], []]),
                 ...tags("group", ["buildings and structures", "dogs"], [[0, 1], [], [1]])},
          measures: {}};
        const ask = (words, chosen) => explorer.find([one], words, chosen).map(o => o.filter);
        return [ask("dark"), ask("dark bar"), ask("DARK, build"), ask("structures"), ask("uctures"),
                ask("fennec"), ask("2"), ask("dogs,"), ask("lights"), ask(""), ask("a"),
                ask("", {group: "dogs"}), ask("dark, light")];
    }""")
    everything = [0, 1, 2]
    assert found == [[0], [1], [0], [0], [], [2], [2], [0, 2], [1], everything, everything, [0, 2],
                     []]


def test_next_stays_within_what_was_found(visit):
    page = visit(DRAWN)
    tags = page.evaluate(f"() => explorer.layerOf('{DRAWN}').tags")
    word = next(word for i, word in enumerate(tags["kernels"]["words"])
                if 2 <= sum(i in of for of in tags["kernels"]["of"]) < 6)
    at = tags["kernels"]["words"].index(word)
    first, second, *_ = [f for f, of in enumerate(tags["kernels"]["of"]) if at in of]
    count = sum(at in of for of in tags["kernels"]["of"])
    page.locator("select[name=kernels]").select_option(word)
    arrived(page, "kernels=")
    page.locator(".tile").first.click()
    page.get_by_role("heading", name=f"{DRAWN}, filter {first}").wait_for(timeout=PATIENCE)
    page.get_by_role("link", name=f"1 of {count} as chosen").wait_for(timeout=PATIENCE)
    page.reload()  # it is still known what was found
    page.get_by_role("link", name=f"1 of {count} as chosen").wait_for(timeout=PATIENCE)
    page.keyboard.press("n")
    page.get_by_role("heading", name=f"{DRAWN}, filter {second}").wait_for(timeout=PATIENCE)
    page.keyboard.press("u")  # back to what was found
    arrived(page, "kernels=")
    page.get_by_role("button", name="clear").click()
    page.get_by_text("6 of 6 filters").first.wait_for(timeout=PATIENCE)
    page.locator(".tile").first.click()
    page.get_by_role("heading", name=f"{DRAWN}, filter 0").wait_for(timeout=PATIENCE)
    page.reload()
    page.get_by_role("link", name=f"all of {DRAWN}").wait_for(timeout=PATIENCE)
    page.keyboard.press("n")  # nothing is searched for now
    page.get_by_role("heading", name=f"{DRAWN}, filter 1").wait_for(timeout=PATIENCE)


def test_whole_words_go_before_beginnings(visit):
    page = visit()
    found = page.evaluate("""() => {
        const layer = (name, texts, of) => ({name, filters: 3, texts, measures: {},
          tags: {group: {words: ["cats and other carnivores", "buildings", "household"], of}}});
        const layers = [
          layer("block1_conv2", ["sports car", "school bus", "tench"], [[0], [1], [2]]),
          layer("block3_conv2", ["tile house", "carton", "dark"], [[1], [], [0]])];
        const ask = words => explorer.find(layers, words).map(
            o => `${o.layer.name[5]} ${o.filter}`);
        return [ask("car"), ask("cars"), ask("bus"), ask("house"), ask("build"), ask("carni"),
                ask("block3"), ask("conv2").length, ask("block3_conv2, dark"), ask("block"),
                explorer.areTags("not, buildings", layers), explorer.areTags("cats", layers)];
    }""")
    assert found == [["1 0"], ["1 0"], ["1 1"], ["3 0"], ["1 1", "3 0"], ["1 0", "3 2"],
                     ["3 0", "3 1", "3 2"], 6, ["3 2"], [], False, True]


def test_what_is_not_here_is_offered_where_it_is(visit):
    page = visit(DRAWN, asked=f"?q={BARE}")
    assert tiles(page) == []
    page.get_by_role("link", name="in all layers").click()
    page.locator(".tile").first.wait_for(timeout=PATIENCE)
    page = visit(DRAWN, asked="?sort=foo")  # no such order
    assert tiles(page) == list(range(6))


def test_what_is_empty_lies_over_nothing(visit):
    page = visit(DRAWN, 1)
    readout = page.locator(".readout").first
    assert readout.evaluate("one => getComputedStyle(one).position") == "static"
    page.locator(".kernel").first.locator("g").nth(4).hover()
    assert readout.evaluate("one => getComputedStyle(one).position") == "sticky"


def test_a_search_says_why_it_found_a_filter(visit):
    page = visit()
    found = page.evaluate("""() => {
        const one = {name: "a", filters: 2, measures: {},
          texts: ["tench, great white shark · likes a cyan disc (3.5 px, 45°), a dark bar",
                  "fennec"],
          tags: {group: {words: ["buildings and structures", "nets"], of: [[0, 1], []]}}};
        const ask = (words, filter = 0) => explorer.why([one], {layer: one, filter}, words);
        return [ask("build"), ask("nets"), ask("dark bar"), ask("white"), ask("fennec", 1),
                ask("0"), ask("cyan"), ask("cyan bar")];
    }""")
    assert found == [["buildings and structures"], [], ["a dark bar"], ["great white shark"],
                     ["fennec"], [], ["likes a cyan disc (3.5 px, 45°)"],
                     ["likes a cyan disc (3.5 px, 45°)"]]


def test_a_search_is_soon_done(visit):
    """For thirteen layers as large as VGG16's: < 300 ms there; the bound widens with the load."""
    page = visit()
    took = page.evaluate("""() => {
        const own = explorer.layerOf("block2_conv1");
        const grown = Array.from({length: 13}, () => ({...own, filters: 325,
          texts: Array.from({length: 325}, (_, i) => own.texts[i % 6].repeat(3)),
          tags: Object.fromEntries(Object.entries(own.tags).map(([kind, {words, of}]) => (
            [kind, {words, of: Array.from({length: 325}, (_, i) => of[i % 6])}]))),
          measures: {r: Array.from({length: 325}, (_, i) => i * 37 % 100)}}));
        const began = performance.now();
        explorer.sort(explorer.find(grown, "mixed kernels, likes"), "r");
        return performance.now() - began;
    }""")
    print(f"\n4,225 filters searched and sorted in {took:.0f} ms")
    assert took < 300 * max(1.0, os.getloadavg()[0] / os.cpu_count())


def test_kernels_are_on_one_scale_and_tell_their_taps(visit, site):
    page = visit(DRAWN, 1)
    edges = page.evaluate(f"""async () => (await explorer.unitsOf(
        explorer.layerOf('{DRAWN}')))[1].edges""")
    scale = max(abs(tap) for edge in edges for tap in edge["taps"])
    assert page.locator(".scale").inner_text().startswith(f"−{scale:.3f}")
    kernel = page.locator(".kernel").first
    kernel.locator("g").nth(5).hover()
    readout = page.locator(".readout")
    tap = f"{edges[0]['taps'][5]:+.4f}".replace("-", "−")
    assert readout.inner_text().endswith(f"row 2, column 3: {tap}")
    page.mouse.move(0, 0)
    kernel.focus()
    for key, place in (("ArrowRight", "row 1, column"), ("ArrowDown", "row 2, column")):
        page.keyboard.press(key)
        assert place in readout.inner_text()
    assert page.url.endswith(f"{DRAWN}/1")  # arrows stay in the kernel
    fills = page.locator(".kernel").first.locator("g rect").evaluate_all(
        "all => all.map(one => one.getAttribute('fill').match(/\\d+/g).map(Number))")
    for (red, _, blue), tap in zip(fills, edges[0]["taps"], strict=True):
        assert (red > blue) == (tap > 0) or abs(tap) < 0.02 * scale
    label = kernel.get_attribute("aria-label")
    assert label.count(",") >= 9 and edges[0]["kind"] in label


def test_the_ranking_can_be_switched(visit):
    page = visit(DRAWN, 1)
    orders = page.evaluate(f"""async () => {{ const unit = (await explorer.unitsOf(
        explorer.layerOf('{DRAWN}')))[1]; return [unit.l2, unit.gives]; }}""")

    def shown():
        return [int(text.split()[-1]) for text in page.locator(".edges .name").all_inner_texts()]

    assert shown() == orders[0]
    page.get_by_label("contribution").check()
    assert shown() == orders[1]
    card = page.locator(".card").filter(has=page.get_by_role("heading", name="Strongest kernels"))
    assert "circuits.strongest" in card.locator("pre").text_content()


def test_two_filters_side_by_side(visit):
    page = visit(DRAWN, 1)
    page.get_by_label("Layer to compare with").select_option(BARE)
    page.get_by_label("Filter to compare with").fill("3")
    page.get_by_role("button", name="compare").click()
    heading(page, "Two filters side by side")
    boxes = [page.get_by_role("heading", name=name, exact=True).bounding_box()
             for name in (f"{DRAWN}, filter 1", f"{BARE}, filter 3")]
    assert boxes[0]["x"] + 200 < boxes[1]["x"] and abs(boxes[0]["y"] - boxes[1]["y"]) < 2
    assert page.locator(".edges").count() == 2
    whose = [text.strip() for text in page.locator(".card .whose").all_inner_texts()]
    assert whose[:2] == [f"{DRAWN}, filter 1", f"{BARE}, filter 3"]


@pytest.mark.parametrize("card", ["Strongest kernels", "Strongest patches", "Who reads it"])
def test_a_copied_call_runs_and_makes_the_same(visit, browser, site, card):
    page = visit(DRAWN, 2)
    browser.grant_permissions(["clipboard-read", "clipboard-write"])
    box = page.locator(".card").filter(has=page.get_by_role("heading", name=card))
    box.get_by_role("button", name="copy the call").click()
    box.get_by_role("button", name="copied").or_(box.get_by_text("press Ctrl+C")).wait_for()
    code = box.locator("pre").text_content()
    made = {}
    exec(code, made)
    if card == "Who reads it":
        listed = [f"{row.layer}, filter {row.filter}" for row in made["table"].itertuples()]
        assert box.locator(".unit .name").all_inner_texts() == listed
    elif card == "Strongest kernels":
        shown = [int(text.split()[-1]) for text in box.locator(".edges .name").all_inner_texts()]
        assert made["ranking"]["channel"].tolist() == shown and made["figure"].axes
    else:
        values = [as_number(text) for text in box.locator("figcaption").all_inner_texts()]
        assert values == pytest.approx(made["patches"].table["value"].tolist(), abs=0.06, rel=0.005)


def test_what_has_not_been_made_names_the_command(visit):
    page = visit(BARE, 0)
    said = page.locator(".missing").all_inner_texts()
    assert len(said) >= 4
    assert all(f'make explorer NETWORK=tiny LAYERS="{BARE}"' in text for text in said)
    assert page.get_by_label("contribution").is_disabled()
    assert page.locator(".kernel").count() > 0 and page.locator(".blank").count() > 0
    visit.go(page, BARE)
    assert page.locator(".tile").count() == 8 and "No pictures and no analysis" in page.locator(
        ".missing").inner_text()


@pytest.mark.parametrize(("parts", "says"), [
    (("block9_conv1",), "no layer “block9_conv1”"), ((DRAWN, 6), "filters 0 to 5, no “6”"),
    ((DRAWN, "one"), "no “one”"), ((DRAWN, 1, "with", DRAWN, 77), "filters 0 to 5, no “77”"),
    (("%",), "no layer “%”")])
def test_an_unknown_address_says_so(visit, parts, says):
    page = visit(*parts)
    heading(page, "There is no such page")
    assert says in page.locator("main").inner_text() or parts == ("%",)
    page.locator("main").get_by_role("link", name="All layers").click()
    page.get_by_text("Each has a page with the kernels").wait_for(timeout=PATIENCE)


def test_another_network_s_address_says_so(visit, site):
    page = visit()
    page.goto(f"{site.as_uri()}#resnet/{DRAWN}/1")
    heading(page, "There is no such page")
    assert "“resnet” is no network here" in page.locator("main").inner_text()


def test_a_folder_that_is_not_whole_says_so(visit, site, tmp_path):
    shutil.copytree(site.parent, tmp_path / "site")
    (tmp_path / f"site/data/{BARE}.js").unlink()
    page = visit()
    page.problems = []  # a missing file is one, and is what is looked for here
    page.goto((tmp_path / "site/index.html").as_uri())
    page.locator(".layers").wait_for()
    page.evaluate(f"location.hash = explorer.address('{BARE}', 0)")
    page.get_by_text(f"data/{BARE}.js is missing").wait_for(timeout=PATIENCE)
    page.problems.clear()


def test_keyboard_alone_reads_the_site(visit, network):
    page = visit(DRAWN)
    page.locator(".tile").first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    heading(page, f"{DRAWN}, filter 2")
    page.keyboard.press("n")
    heading(page, f"{DRAWN}, filter 3")
    page.keyboard.press("ArrowLeft")
    heading(page, f"{DRAWN}, filter 2")
    page.keyboard.press("?")
    assert page.get_by_role("dialog").is_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("u")
    heading(page, DRAWN)
    assert page.evaluate("document.activeElement.id") == "page"  # whoever listens is there
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "none"
    page.keyboard.press("Tab")
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"


def test_a_choice_made_by_keyboard_leaves_the_keyboard_there(visit):
    page = visit(DRAWN)
    page.get_by_label("sort by").focus()
    page.keyboard.press("ArrowDown")
    arrived(page, "sort=")
    assert page.evaluate("document.activeElement.name") == "sort"
    page.locator("#layers").focus()
    page.keyboard.press("ArrowDown")
    heading(page, "block2_conv2")
    page.keyboard.press("ArrowDown")  # and on to the next
    heading(page, "block3_conv1")


def test_a_search_that_finds_nothing_says_what_can_be_asked_for(visit):
    page = visit(DRAWN, asked="?q=unheard")
    page.locator(".known a").first.click()
    arrived(page, "kernels=")
    assert page.locator(".tile").count() > 0


def test_the_words_to_try_find_something(visit):
    page = visit()
    tried = page.get_by_text("Find some by words").get_by_role("link").all_inner_texts()
    assert tried and all(page.evaluate(
        "words => explorer.find(explorer.index().layers, words).length", words) for words in tried)


def test_numbers_say_no_more_than_they_know(visit):
    told = visit().evaluate("""() => [[8890.7, 1], [-1234.5, 1], [99.94, 1], [99.96, 1], [-0.001],
        [0.126], [null], [100, 0]].map(given => explorer.number(...given))""")
    assert told == ["8,891", "−1,235", "99.9", "100", "0.00", "0.13", "–", "100"]


def test_a_hypothesis_says_at_once_what_tests_refute_of_it(visit):
    told = 0
    for filter in range(6):
        page = visit(DRAWN, filter)
        card = page.locator("section").filter(
            has=page.get_by_role("heading", name="Hypothesis and verdict"))
        rows = [row.locator("th, td").all_inner_texts() for row in card.locator("tr").all()]
        refuted = [claim for claim, *rest in rows if rest[:1] in (["refuted"],
                                                                  ["refuted; not counted"])]
        said = card.locator(".refutes")
        assert said.count() == bool(refuted)
        if refuted:
            words = said.inner_text()
            assert all(claim in words for claim in refuted)
            told += 1
    assert told, "no hypothesis of these is refuted in part"


def test_the_quiz_counts_what_is_right(visit):
    page = visit(DRAWN, "quiz", asked="?seed=5")
    asked = int(page.locator(".quiz h2").inner_text().split()[-1])
    assert 1 <= asked <= 20
    units = page.evaluate(f"""async () => (await explorer.unitsOf(explorer.layerOf('{DRAWN}')))
        .map(unit => unit.analysis.patches.map(([, value]) => value))""")
    right = 0
    for number in range(1, asked + 1):
        page.locator(".quiz button").first.click()
        said = page.locator("#said").inner_text()
        assert page.locator(".last strong").inner_text() == said  # for those who see, too
        assert page.locator(".quiz button:has(.sprite)").all_inner_texts() == [
            text.rstrip(".") for text in re.findall(r"[AB] [−\d,.]*\d", said)]  # it stays
        a, b = map(as_number, re.findall(r"[AB] (−?\d[\d,]*(?:\.\d)?)", said))
        assert (": right." in said) == (a >= b)
        unseen = np.array([value for values in units for value in values[9:]])
        assert all(np.abs(unseen - value).min() < max(0.06, 0.005 * abs(value)) for value in (a, b))
        right += ": right." in said
        assert page.locator(".score").inner_text() == f"{right} of {number} right so far"
        page.locator(".quiz > button").click()
    assert page.locator(".quiz h2").inner_text() == f"{right} of {asked} right"
    assert "95 % interval" in page.locator(".quiz").inner_text()
    low, high = page.evaluate("explorer.interval(15, 20)")
    assert (low, high) == pytest.approx((0.5313, 0.8881), abs=2e-4)  # Wilson's


@pytest.mark.parametrize("parts", [(), (DRAWN,), (DRAWN, 1), (BARE, 1),
                                   (DRAWN, 1, "with", DRAWN, 2), (DRAWN, "quiz")])
def test_it_fits_every_width_and_everything_has_a_name(visit, parts):
    page = visit(*parts)
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    nameless = page.evaluate("""() => [...document.querySelectorAll(
        "a[href], button, input, select, svg[role=img], .sprite[role=img]")].filter(one =>
        !one.textContent.trim() && !one.getAttribute("aria-label") && !one.labels?.length
    ).map(one => one.outerHTML.slice(0, 120))""")
    assert nameless == []
    assert page.locator("h1").count() == 1
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map(one => one.id)")
    assert len(ids) == len(set(ids))
    assert page.evaluate("""() => [...document.querySelectorAll("[tabindex]")].filter(
        one => one.tabIndex > 0).length""") == 0


def test_what_a_newcomer_stumbled_over(visit):
    page = visit(DRAWN, 1)
    page.set_viewport_size({"width": 1280, "height": 500})
    tap = page.locator(".kernel g").first
    tap.scroll_into_view_if_needed()
    tap.hover()
    box = page.locator(".readout").bounding_box()
    assert page.locator(".readout").inner_text().strip()
    assert 0 <= box["y"] and box["y"] + box["height"] <= 500  # in sight, where one points
    page.get_by_label("contribution").check()
    page.keyboard.press("n")  # a choice takes no keys but arrows
    arrived(page, f"{DRAWN}/2")
    assert page.get_by_label("contribution").is_checked()  # as chosen last
    tags = page.evaluate(f"() => explorer.layerOf('{DRAWN}').tags")
    kernel, = {tags["kernels"]["words"][i] for i in tags["kernels"]["of"][1]}
    verdict, = {tags["verdict"]["words"][i] for i in tags["verdict"]["of"][1]}
    page = visit(DRAWN, asked=f"?q=filter 1&{'kernels'}={kernel}")
    assert tiles(page) == [1]
    page = visit(DRAWN, asked=f"?q={kernel.split()[0]} {verdict}")  # a comma is missing
    assert tiles(page) == []
    page.get_by_text("Do you mean").get_by_role("link").click()
    page.locator(".tile").first.wait_for(timeout=PATIENCE)
    assert 1 in tiles(page)
    assert page.get_by_label("order").is_disabled()  # by number there is one order
    page = visit(DRAWN, 1, "with", DRAWN, 99)
    assert "has filters 0 to 5, no “99”" in page.locator("main").inner_text()


@pytest.mark.parametrize("parts", [(), (DRAWN,), (DRAWN, 1), (BARE, 1),
                                   (DRAWN, 1, "with", DRAWN, 2), (DRAWN, "quiz")])
def test_axe_finds_nothing_serious(visit, parts):
    page = visit(*parts)
    for theme, width in (("light", 1280), ("dark", 1280), ("light", 390)):
        page.emulate_media(color_scheme=theme)
        page.set_viewport_size({"width": width, "height": 900})
        found = Axe().run(page, options={"preload": False}).response["violations"]
        said = [(one["id"], one["impact"], one["nodes"][0]["html"][:200]) for one in found]
        assert not [one for one in said if one[1] in ("serious", "critical")], (theme, width, said)
