/* The cards of a filter's page. Each takes (layer, filter, unit) and returns an element, or null
   where the network has nothing of the kind. */
(() => {
  "use strict";
  const {element, address, picture, unitLink, layerOf, number, signed, share, call, missing,
         kernel, scaleBar, index} = explorer;

  const change = (value) => `${signed(100 * value, 0)} %`;

  function card(title, ...body) {
    return element("section", {class: "card"}, element("h2", {}, title), body);
  }

  function row(cells, tag = "td") {
    return element("tr", {}, cells.map((cell, i) => element(i ? tag : "th", {
      scope: i ? null : "row"}, cell)));
  }

  function table(caption, heads, rows) {
    return element("div", {class: "scroll", tabindex: 0, role: "group", "aria-label": caption},
      element("table", {}, element("caption", {}, caption),
        element("thead", {}, element("tr", {}, heads.map((head) => element("th", {scope: "col"},
          head)))), element("tbody", {}, rows)));
  }

  /* Picture and negative. */
  function pictures(layer, filter, unit) {
    const kinds = {picture: ["excites it most", "The picture that excites"],
                   negative: ["excites it least", "The picture that least excites"]};
    const shown = Object.entries(kinds).map(([kind, [title, label]]) => {
      const known = unit.pictures[kind];
      if (!known) return element("div", {}, missing(`No picture of what ${title} yet.`, layer));
      const beats = known.percentile === null || kind === "negative" ? ""
        : `, above ${known.percentile > 99.95 ? "all" : `${number(known.percentile, 0)} % of the`
          } stored photographs${known.weak ? ": a weak picture" : ""}`;
      return element("figure", {}, picture(layer, kind, filter, {side: 192, label: `${label} ${
        layer.name}, filter ${filter}`}), element("figcaption", {}, `What ${title}: its largest `
        + `pre-activation is ${number(known.end, 1)}${beats}.${known.flat
          ? " The ascent found nothing: it stayed grey, or its mean did not rise." : ""}`),
      call(kind, layer, filter));
    });
    return card("Drawn by gradient ascent", element("div", {class: "pair"}, shown));
  }

  /* The ten strongest kernels, by L2 norm or by contribution, each with its upstream channel. */
  function kernels(layer, filter, unit, {name = "ranking"} = {}) {
    const up = layer.reads ? layerOf(layer.reads) : null;
    const scale = Math.max(...unit.edges.flatMap((edge) => edge.taps.map(Math.abs)), 1e-12);
    const readout = element("p", {class: "readout idle", "aria-live": "polite"}, "\u00a0");
    const tell = (text) => {
      readout.textContent = text || "\u00a0";
      readout.classList.toggle("idle", !text);  // empty, it lies over nothing
    };
    const list = element("ol", {class: "edges"}), calls = element("div", {});
    const edges = new Map(unit.edges.map((edge) => [edge.c, edge]));

    function one(channel, at) {
      const edge = edges.get(channel);
      const whose = layer.reads ? `channel ${channel} of ${layer.reads}`
        : `channel ${channel} (${index().inputs[channel]}) of the picture`;
      const taps = edge.taps.map((tap) => signed(tap, 3)).join(", ");
      return element("li", {},
        up ? unitLink(up, channel, {side: 72, words: `channel ${channel}`})
          : element("span", {class: "name"}, whose),
        kernel(edge.taps, layer.kernel, scale, {tell: (text) => tell(text && `${whose}, ${text}`),
          label: `Kernel ${at + 1}, ${whose}, ${edge.kind}; taps row by row: ${taps}`}),
        element("span", {class: "numbers"}, `L2 ${number(edge.l2, 3)}`, element("br"), edge.kind,
          edge.gives === undefined ? "" : [element("br"), `gives ${share(edge.gives)}`,
            element("br"), `cut: ${change(-edge.loses)}`]));
    }

    function show(by) {
      const order = by === "gives" ? unit.gives : unit.l2;
      list.replaceChildren(...order.map(one));
      calls.replaceChildren(call(by, layer, filter));
    }

    const first = unit.gives.length ? explorer.ranked ?? "l2" : "l2";  // as chosen last
    const choice = (value, words, disabled) => element("label", {}, element("input", {
      type: "radio", name, value, disabled, checked: value === first,
      onchange: () => { explorer.ranked = value; show(value); }}), ` ${words}`);
    show(first);
    return card("Strongest kernels",
      element("fieldset", {class: "rank"}, element("legend", {}, "rank by"),
        choice("l2", "L2 norm"), choice("gives", "contribution", !unit.gives.length)),
      unit.gives.length ? null : missing("Contributions need photographs.", layer),
      list, readout, scaleBar(scale),
      element("p", {class: "small"}, `The ${unit.l2.length} largest hold ${share(unit.share)} of `
        + `its squared weight; ${unit.zero} of ${layer.channels} kernels are mostly zero.`
        + (unit.gives.length ? " Gives: share of the response at its strongest patches; cut: by how "
          + "much the response changes when the edge reads its mean input instead." : "")), calls);
  }

  function patches(layer, filter, unit) {
    if (!unit.analysis) {
      return card("Strongest patches", missing("No photographs have been looked at.",
                                                      layer));
    }
    const shown = unit.analysis.patches.slice(0, 9);
    return card("Strongest patches", element("div", {class: "patches"}, shown.map(
      ([name, value], at) => element("figure", {}, picture(layer, "patches", filter, {
        side: 84, at, label: `Patch ${at + 1}, of ${name}: ${number(value, 1)}`}),
      element("figcaption", {}, number(value, 1))))),
    element("p", {class: "small"}, "One from each photograph, with the filter's pre-activation "
      + `(pictures: ${index().pictures}).`), call("patches", layer, filter));
  }

  /* Filters above that listen to it. */
  function clients(layer, filter, unit) {
    if (!layer.readers.length) {
      return card("Who reads it", element("p", {}, "No convolution reads it: it is the "
        + "last layer, or joined with others first."));
    }
    return card("Who reads it", element("ul", {class: "plain"}, unit.clients.map(
      ([name, number_, l2, sign, kind, rank, part]) => element("li", {},
        unitLink(layerOf(name), number_, {side: 56}), element("span", {class: "numbers"},
          `${kind} (${signed(sign)}); its input no. ${rank} with ${share(part)} of its squared `
          + `weight, L2 ${number(l2, 3)}`)))),
    element("p", {class: "small"}, `It is read with more weight than ${number(unit.outgoing, 0)} % `
      + `of the layer's filters; it excites ${share(unit.excited)} of all that read it.`),
    call("clients", layer, filter));
  }

  function groups(layer, filter, unit) {
    if (!unit.groups.length) {
      return card("Classes", element("p", {}, "No answers to photographs of classes are "
        + "stored for this network."));
    }
    const widest = Math.max(...unit.groups.map(([, value]) => Math.abs(value)), 0.5);
    return card("Classes", table("Groups of classes: how far above the others", [
      "group", "SD", "p"], unit.groups.map(([name, value, p]) => row([name,
      [element("span", {class: "figure"}, signed(value)), " ", element("span", {class: "bar-of",
        style: {width: `${60 * Math.abs(value) / widest}px`,
                backgroundColor: explorer.colour(Math.sign(value) * 0.6)}})],
      p < 0.05 ? element("strong", {}, number(p, 3)) : number(p, 3)]))),
    element("p", {class: "small"}, "Of 1,000 stored photographs, one a class, it answers most, by "
      + `its own part, to: ${unit.classes.join(", ").replaceAll("_", " ")}. p: permutations, `
      + "corrected for the number of groups. (A hypothesis reads half of them, and is tested on "
      + "the other half.)"), call("groups", layer, filter));
  }

  function hypothesis(layer, filter, unit) {
    const found = unit.analysis;
    if (!found) {
      return card("Hypothesis and verdict", missing("It has not been analysed.", layer));
    }
    const part = (sign) => found.parts.filter(([weight]) => Math.sign(weight) === sign)
      .sort(([a], [b]) => sign * (b - a)).map(([weight, thing]) => element("li", {},
        `${signed(weight, 1)} ${thing}`));
    const lists = [["likes", 1], ["dislikes", -1]].map(([title, sign]) => element("div", {},
      element("h3", {}, title), element("ul", {}, part(sign).length ? part(sign)
        : element("li", {}, "nothing"))));
    const refuted = found.claims.filter((one) => one.verdict === "refuted");
    return card("Hypothesis and verdict",
      element("p", {}, found.hypothesis),
      refuted.length ? element("p", {class: "refutes"},
        element("strong", {}, "Of its claims, tests refute: "),
        `${refuted.map((one) => one.claim).join("; ")}.`) : null,
      element("p", {class: "small"}, "This was fitted to patches of photographs. The words at the "
        + "top of the page come from drawn stimuli (Tuning) and from photographs of 1,000 classes: "
        + "other questions, whose answers may differ."),
      element("p", {}, element("strong", {class: `verdict ${found.verdict}`}, found.verdict),
        found.parts.length ? `; its description predicts new photographs with r = ${number(
          found.r)}; the whole hypothesis would be supported for ${found.elsewhere} of the `
          + `layer's ${layer.filters - 1} other filters.` : "."),
      found.parts.length ? element("div", {class: "pair"}, lists) : null,
      table("Claims", ["claim", "verdict", "found", "demanded", "others pass"],
        [true, false].flatMap((core) => {
          const rows = found.claims.filter((one) => one.core === core);
          const head = element("tr", {}, element("th", {colspan: 5, scope: "rowgroup",
            class: "group"}, core ? "decide the verdict" : "stand beside it"));
          return rows.length ? [head, ...rows.map((one) => row([one.claim, one.counts || !core
            ? one.verdict : `${one.verdict}; not counted`, one.found, one.demanded,
          one["others pass"]]))] : [];
        })),
      element("p", {class: "small"}, layer.rates), call("analysis", layer, filter));
  }

  /* Response over orientation, drawn as a line. */
  function curve([family, points]) {
    const top = Math.max(...points.map(([, value]) => value), 1e-9);
    const last = Math.max(...points.map(([angle]) => angle));
    const place = ([angle, value]) => [44 + 186 * angle / last, 96 - 80 * value / top];
    const line = points.map((point, i) => `${i ? "L" : "M"}${place(point).map(
      (x) => x.toFixed(1)).join(" ")}`).join("");
    const text = points.map(([angle, value]) => `${angle}°: ${number(value, 1)}`).join(", ");
    return element("figure", {}, element("svg", {class: "curve", viewBox: "0 0 240 120", role: "img",
      "aria-label": `Response to a ${family} by orientation: ${text}`},
    element("path", {class: "axis", d: "M44 10V96H232"}), element("path", {class: "line", d: line}),
    points.map((point) => element("circle", {cx: place(point)[0], cy: place(point)[1], r: 2.5})),
    element("text", {x: 40, y: 16, class: "end"}, number(top, 0)),
    element("text", {x: 40, y: 98, class: "end"}, "0"),
    element("text", {x: 44, y: 112}, "0°"),
    element("text", {x: 230, y: 112, class: "end"}, `${last}°`)),
    element("figcaption", {}, `Response to the best ${family}, by orientation`));
  }

  function tuning(layer, filter, unit) {
    const found = unit.analysis;
    if (!found) return null;
    const best = found.best.map((words, at) => element("figure", {}, picture(layer, "drawn", filter,
      {side: 72, at, label: `Drawn stimulus: ${words.replace("\n", ", ")}`}),
    element("figcaption", {}, words.replace("\n", ", "))));
    const known = Object.entries(found.properties).filter(([, value]) => value !== "none");
    const kept = Object.entries(found.altered).filter(([, value]) => value !== null);
    return card("Tuning", element("div", {class: "pair"}, best),
      found.curve.length ? curve(found.curve) : null,
      element("p", {}, known.map(([name, value]) => `${name}: ${
        value === "between" ? "in between" : value}`).join("; ") || "No drawn "
        + "stimulus excites it."),
      kept.length ? element("p", {class: "small"}, "Of the response to its strongest patches there "
        + `remain ${kept.map(([way, value]) => `${share(value)} ${{turned: "turned by 90°",
          inverted: "dark for light", grey: "in grey", phases: "with random phases"}[way] ?? way}`)
          .join(", ")}.`) : null, call("tuning", layer, filter));
  }

  function relatives(layer, filter, unit) {
    const found = unit.analysis;
    if (!found) return null;
    return card("Relatives", element("p", {}, `Family of turned variants, by rule: ${
      found["family rule"]}; itself ${found.invariant ? "" : "not "}indifferent to turns.`),
    element("ul", {class: "plain"}, found.relatives.slice(0, 6).map(
      ([other, way, response, taps, member]) => element("li", {},
        unitLink(layer, other, {side: 56, from: layer}), element("span", {class: "numbers"},
          `${way}: responses ${number(response)}, kernels ${number(taps)}${member ? "; member"
            : ""}. `, element("a", {href: compared(layer, filter, layer, other)}, "compare"))))),
    element("p", {class: "small"}, "Correlations, at the turn or flip at which responses agree "
      + "best."));
  }

  const compared = (one, a, two, b) => `${address(one.name, a)}/with/${
    encodeURIComponent(two.name)}/${b}`;

  Object.assign(explorer, {compared, cards: [[pictures, patches], [kernels], [hypothesis],
                                             [tuning, clients, relatives, groups]]});
})();
