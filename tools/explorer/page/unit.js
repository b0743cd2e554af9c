/* A filter's page, and two of them side by side. */
(() => {
  "use strict";
  const {element, address, cards, tagsOf, unitsOf, layerOf, index, compared} = explorer;

  /* Words for what it is, each a search in its layer. */
  function chips(layer, filter) {
    const found = tagsOf(layer, filter);
    return element("ul", {class: "chips", "aria-label": "In words"}, found.map(({kind, word}) => (
      element("li", {}, element("a", {href: address(layer.name, null, {[kind]: word})},
        kind === "family" ? `${index().tags.family}: ${word}` : word)))));
  }

  /* Where "previous", "next" and "up" lead: among what was searched for last, if this filter was
     found there, else among the layer's filters. */
  function neighbours(layer, filter) {
    if (explorer.trail === undefined) explorer.restored();
    const {found, words, at} = explorer.trail ?? {found: []};
    const here = found.findIndex((one) => one.layer === layer && one.filter === filter);
    if (here >= 0) {
      const to = (one) => one && address(one.layer.name, one.filter);
      return {prev: to(found[here - 1]), next: to(found[here + 1]), up: at,
              all: `${here + 1} of ${found.length}${words ? ` found for “${words}”` : " as chosen"}`};
    }
    const to = (other) => other >= 0 && other < layer.filters && address(layer.name, other);
    return {prev: to(filter - 1), next: to(filter + 1), up: address(layer.name),
            all: `all of ${layer.name}`};
  }

  function turns(layer, {prev, next, up, all}) {
    const to = (place, words, rel) => place ? element("a", {href: place, rel}, words)
      : element("span", {class: "quiet"}, words);
    return element("nav", {class: "turns", "aria-label": "Neighbours"},
      to(prev, "← previous", "prev"), " ", element("a", {href: up}, all), " ",
      up === address(layer.name) ? "" : [element("a", {href: address(layer.name)},
                                                 `all of ${layer.name}`), " "],
      to(next, "next →", "next"));
  }

  /* Choose a second filter. */
  function beside(layer, filter, other = [layer, (filter + 1) % layer.filters]) {
    const which = element("select", {"aria-label": "Layer to compare with"}, index().layers.map(
      (one) => element("option", {selected: one === other[0]}, one.name)));
    const at = element("input", {type: "number", min: 0, value: other[1], required: true,
                                 max: other[0].filters - 1, "aria-label": "Filter to compare with"});
    which.addEventListener("change", () => { at.max = layerOf(which.value).filters - 1; });
    return element("form", {class: "beside", onsubmit: (event) => {
      event.preventDefault();
      location.hash = compared(layer, filter, layerOf(which.value), Number(at.value));
    }}, "beside ", which, " ", at, " ", element("button", {type: "submit"}, "compare"));
  }

  async function unitPage(layer, filter) {
    const unit = (await unitsOf(layer))[filter];
    const title = `${layer.name}, filter ${filter}`, near = neighbours(layer, filter);
    return {title, keys: {prev: near.prev, next: near.next, up: near.up},
            body: [turns(layer, near), element("h1", {}, title), chips(layer, filter),
                   ...cards.map((row) => element("div", {class: "cards"}, row.map(
                     (make) => make(layer, filter, unit)).filter(Boolean))),
                   beside(layer, filter)]};
  }

  /* The same cards of two filters, each beside the other's. */
  async function comparePage(one, a, two, b) {
    const units = [(await unitsOf(one))[a], (await unitsOf(two))[b]];
    const sides = [[one, a, units[0]], [two, b, units[1]]];
    const heads = sides.map(([layer, filter]) => element("div", {}, element("h2", {class: "side"},
      element("a", {href: address(layer.name, filter)}, `${layer.name}, filter ${filter}`)),
    chips(layer, filter)));
    const pairs = cards.flat().map((make) => sides.map(([layer, filter, unit], i) => {
      const made = make(layer, filter, unit, {name: `ranking-${i}`}) ?? element("div", {});
      made.querySelector("h2")?.append(element("span", {class: "whose"},  // below each other, too
        ` ${layer.name}, filter ${filter}`));
      return made;
    }));
    return {title: `${one.name} ${a} and ${two.name} ${b}`, keys: {up: address(one.name, a)},
            body: [element("h1", {}, "Two filters side by side"), beside(one, a, [two, b]),
                   element("div", {class: "sides"}, heads, pairs)]};
  }

  Object.assign(explorer, {unitPage, comparePage});
})();
