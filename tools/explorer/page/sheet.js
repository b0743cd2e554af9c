/* Contact sheets: all layers, one layer, and what a search finds. */
(() => {
  "use strict";
  const {element, address, picture, blank, index, number, say, find, why, areTags, sort, choices,
         layerOf} = explorer;
  const AT_ONCE = 512;  // tiles; a search over all layers may find thousands
  const plural = (count, word) => `${count.toLocaleString("en")} ${word}${count === 1 ? "" : "s"}`;

  /* A filter on a sheet: picture (or its kernels' signs), number, what it was sorted by. */
  function tile({layer, filter}, {measure, named, reason}) {
    const value = measure ? layer.measures[measure]?.[filter] : undefined;
    const digits = measure ? index().measures[measure][1] : 0;
    const because = reason({layer, filter}).join("; ");
    const words = named ? [`${layer.name},`, element("br"), `${filter}`] : `${filter}`;
    return element("a", {class: "tile", href: address(layer.name, filter), tabindex: -1},
      picture(layer, "picture", filter, {side: 80}) ?? blank(layer, filter, 80),
      element("span", {class: "name"}, words),
      measure ? element("span", {class: "value"}, number(value ?? null, digits)) : null,
      because ? element("span", {class: "why", title: because}, because) : null);
  }

  /* Tiles of which one can be tabbed to; arrow keys go on from there. */
  function tiles(found, options) {
    const box = element("div", {class: "tiles", role: "group", "aria-label": "filters"},
      found.slice(0, AT_ONCE).map((one) => tile(one, options)));
    if (box.firstChild) box.firstChild.tabIndex = 0;
    box.addEventListener("keydown", (event) => {
      const all = [...box.children], here = all.indexOf(event.target.closest(".tile"));
      const wide = all.findIndex((one, i) => i && one.offsetTop !== all[0].offsetTop);
      const columns = wide < 0 ? all.length : wide;
      const step = {ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns,
                    Home: -here, End: all.length - 1 - here}[event.key];
      if (step === undefined || here < 0 || !all[here + step]) return;
      event.preventDefault();
      event.stopPropagation();
      all[here].tabIndex = -1;
      all[here + step].tabIndex = 0;
      all[here + step].focus();
    });
    return box;
  }

  function select(label, name, values, chosen, onchange, {disabled = false} = {}) {
    return element("label", {}, `${label} `, element("select", {name, onchange, disabled},
      values.map(([value, words]) => element("option", {value, selected: value === chosen},
                                             words))));
  }

  /* Choices above a sheet; each change goes into the address, so that it can be kept and sent. */
  function controls(layers, asked, go) {
    const change = (kind) => (event) => go({...asked, [kind]: event.target.value});
    const kinds = Object.keys(index().tags).map((kind) => [kind, choices(layers, kind)])
      .filter(([, words]) => words.length);
    const shown = Object.entries(index().measures).filter(([name]) => layers.some(
      (layer) => layer.measures[name]?.some((value) => value !== null)));
    const open = innerWidth > 720 || Object.entries(asked).some(([name, word]) => (
      word && name !== "q"));  // on a phone they would fill the screen
    return element("details", {class: "chosen", open}, element("summary", {}, "choose and sort"),
      element("div", {class: "choices"},
      kinds.map(([kind, words]) => select(index().tags[kind], kind,
        [["", "all"], ...words.map(([word, count]) => [word, `${word} (${count})`])],
        asked[kind] ?? "", change(kind))),
      select("sort by", "sort", [["", "number"], ...shown.map(([name, [words]]) => [name, words])],
             asked.sort ?? "", change("sort")),
      select("order", "order", asked.sort ? [["", "largest first"], ["rising", "smallest first"]]
        : [["", "smallest first"]], asked.order ?? "", change("order"), {disabled: !asked.sort}),
      Object.values(asked).some(Boolean) ? element("button", {
        type: "button", onclick: () => go({})}, "clear") : null));
  }

  /* What the address asks for, of some layers. */
  function results(layers, asked) {
    const chosen = Object.fromEntries(Object.entries(asked).filter(
      ([kind, word]) => kind in index().tags && word));
    return sort(find(layers, asked.q ?? "", chosen), asked.sort, asked.order === "rising");
  }

  /* On a filter's page "next" then stays among what was found, after a reload too. */
  const KEPT = `found in ${location.pathname}`;
  function remember(layers, asked, found) {
    const scope = layers.length > 1 ? null : layers[0].name, any = Object.values(asked).some(Boolean);
    explorer.trail = any ? {found, words: asked.q, at: address(scope, null, asked)} : null;
    try {
      sessionStorage.setItem(KEPT, JSON.stringify(any ? {scope, asked} : null));
    } catch {
      return;  // no storage here: it is known until the page is left
    }
  }

  function restored() {
    try {
      const {scope, asked} = JSON.parse(sessionStorage.getItem(KEPT)) ?? {};
      const layers = scope ? [layerOf(scope)] : index().layers;
      if (asked && layers[0]) remember(layers, asked, results(layers, asked));
    } catch {
      explorer.trail = null;
    }
    explorer.trail ??= null;
  }

  function listed(layers, asked, go) {
    const began = performance.now(), found = results(layers, asked);
    explorer.took = performance.now() - began;  // of the search alone, for the tests
    const all = layers.reduce((sum, layer) => sum + layer.filters, 0);
    const text = `${found.length.toLocaleString("en")} of ${plural(all, "filter")}`
      + (found.length > AT_ONCE ? `, the first ${AT_ONCE} shown` : "");
    say(text);
    remember(layers, asked, found);
    const reason = (one) => asked.q ? why(layers, one, asked.q) : [];
    return [controls(layers, asked, go),
      element("p", {class: "count"}, element("strong", {}, text), asked.q ? ` for “${asked.q}”` : ""),
      found.length ? tiles(found, {measure: asked.sort, named: layers.length > 1, reason})
        : nothing(layers, asked)];
  }

  /* Where a search finds nothing: what can be asked for. */
  function nothing(layers, asked) {
    const layer = layers.length === 1 ? layers[0].name : null;
    const known = Object.keys(index().tags).map((kind) => [kind, choices(layers, kind)])
      .filter(([, words]) => words.length);
    const apart = (asked.q ?? "").trim().split(/[\s,;]+/).join(", ");
    const perhaps = apart.includes(",") && apart !== asked.q && areTags(apart, layers)
      && results(layers, {...asked, q: apart});
    const elsewhere = layer && asked.q ? results(index().layers, {q: asked.q}).length : 0;
    return element("div", {}, perhaps?.length ? element("p", {}, "Do you mean ", element("a", {
      href: address(layer, null, {...asked, q: apart})}, `“${apart}”`), `: ${perhaps.length}?`) : "",
    elsewhere ? element("p", {}, element("a", {href: address(null, null, {q: asked.q})},
      `${plural(elsewhere, "filter")} in all layers`), ".") : "",
    element("p", {}, "No filter answers to all of this. Separate words by "
      + "commas. Properties are known by these words; other words are looked for in hypotheses "
      + `and in the names of ImageNet's classes${layers.some((one) => !one.analysed)
        ? "; a layer that has not been analysed is found by its kernels and classes alone" : ""}.`),
    element("dl", {class: "known"}, known.map(([kind, words]) => [
      element("dt", {}, index().tags[kind]), element("dd", {}, words.map(([word, count], i) => [
        i ? ", " : "", element("a", {href: address(layer, null, {...asked, q: "", [kind]: word})},
                               word), ` (${count})`]))])));
  }

  /* The page of a layer. */
  function layerPage(layer, asked) {
    const go = (wanted) => { location.hash = address(layer.name, null, wanted); };
    const reads = layer.reads ? explorer.layerOf(layer.reads) : null;
    const to = (name) => explorer.layerOf(name)
      ? element("a", {href: address(name)}, name) : name;
    return {title: layer.name, body: [
      element("h1", {}, layer.name),
      element("p", {}, `${plural(layer.filters, "filter")}; each unit sees ${layer.field} × ${
        layer.field} pixels and reads ${layer.channels} channels of `,
        layer.reads ? to(layer.reads) : "the picture", reads || !layer.reads ? "" : " (no pages)",
        layer.readers.length ? "; read by " : "", layer.readers.flatMap(
          (name, i) => [i ? ", " : "", to(name)]), "."),
      ...summary(layer), ...listed([layer], asked, go)]};
  }

  /* How many filters are explained here, and what has not been made. */
  function summary(layer) {
    const parts = [];
    if (layer.analysed) {
      const counts = layer.counts.map(([verdict, count, low, high]) => `${verdict} ${count} (${
        number(100 * low, 0)}–${number(100 * high, 0)} %)`);
      parts.push(element("p", {}, `${plural(layer.analysed, "filter")} analysed: `
        + `${counts.join(", ")}; 95 % intervals. `, element("a", {href: layer.table, download: ""},
        "All of them as a table (CSV)"), "."));
    }
    const lacking = [!layer.sprites.picture && "pictures", !layer.analysed && "analysis"]
      .filter(Boolean);
    if (lacking.length) {
      parts.push(explorer.missing(`No ${lacking.join(" and no ")} of this layer yet.${
        layer.sprites.picture ? "" : " The squares show the signs of each filter's ten largest "
          + "kernels."}`, layer));
    }
    if (layer.sprites.patches) {
      parts.push(element("p", {}, element("a", {href: address(layer.name, "quiz")},
        "Quiz: which patch excites this filter more?")));
    }
    return parts;
  }

  /* Words to try: of those that say most about the site, the ones that find something here. */
  const examples = (layers) => ["dark, any orientation", "mixed kernels", "nets", "buildings",
    "supported", ...choices(layers, "kernels").slice(0, 1).map(([word]) => word)].filter(
    (words, i, all) => all.indexOf(words) === i && find(layers, words).length).slice(0, 5);

  /* All layers; with words, what they find in all of them. */
  function home(asked) {
    const layers = index().layers;
    const go = (wanted) => { location.hash = address(null, null, wanted); };
    if (Object.values(asked).some(Boolean)) {
      return {title: "search", body: [element("h1", {}, `${index().network}: search`),
                                      ...listed(layers, asked, go)]};
    }
    remember(layers, {}, []);
    const filters = layers.reduce((sum, layer) => sum + layer.filters, 0);
    const done = layers.filter((layer) => layer.analysed).map((layer) => layer.name);
    return {title: "all layers", body: [
      element("h1", {}, `${index().network}: every filter`),
      element("p", {}, `${plural(filters, "filter")} in ${plural(layers.length, "layer")}. Each `
        + "has a page with the kernels that feed it and the filters that read it, all of them "
        + "links. A picture here is what excites a filter most, found by gradient ascent; where none "
        + "has been drawn, ten squares stand for its ten largest kernels (red excites, blue "
        + "inhibits). How many pixels (px) a unit sees grows with depth."),
      element("p", {}, done.length ? `Words such as nets, dark or supported are known where filters `
        + `have been analysed: ${done.length < layers.length ? done.join(", ") : "everywhere"}. `
        : "", "Find some by words: ", examples(layers).flatMap((words, i) => [
        i ? ", " : "", element("a", {href: address(null, null, {q: words})}, words)]), "."),
      element("ul", {class: "layers"}, layers.map((layer) => element("li", {},
        element("h2", {}, element("a", {href: address(layer.name)}, layer.name)),
        element("p", {}, `${plural(layer.filters, "filter")}, ${layer.field} × ${layer.field} px`
          + `${layer.analysed ? ", analysed" : ""}`),
        element("div", {class: "row", "aria-hidden": "true"}, Array.from(
          {length: Math.min(6, layer.filters)}, (_, i) => Math.floor(i * layer.filters / 6))
          .map((f) => picture(layer, "picture", f, {side: 44}) ?? blank(layer, f, 44)))))),
      element("p", {class: "small"}, `Weights: ${index().source}.`)]};
  }

  Object.assign(explorer, {layerPage, home, results, restored});
})();
