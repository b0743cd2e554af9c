/* The explorer's data, addresses and small tools. Data come as scripts, so that the page works
   when it is opened as a file. All parts share this one object. */
const explorer = (() => {
  "use strict";
  const kept = new Map(), waiting = new Map();

  /* Called by each data file. */
  function add(name, value) {
    kept.set(name, value);
  }

  /* Data by name, from a file if it is not here yet. */
  function load(name, file) {
    if (kept.has(name)) return Promise.resolve(kept.get(name));
    if (!waiting.has(name)) {
      waiting.set(name, new Promise((resolve, reject) => {
        const script = element("script", {src: file});
        script.onload = () => kept.has(name) ? resolve(kept.get(name))
          : reject(new Error(`${file} does not hold ${name}`));
        script.onerror = () => reject(new Error(`${file} is missing`));
        document.head.append(script);
      }).catch((problem) => { waiting.delete(name); throw problem; }));
    }
    return waiting.get(name);
  }

  const index = () => kept.get("index");
  const layerOf = (name) => index().layers.find((layer) => layer.name === name);
  const unitsOf = (layer) => load(`units/${layer.name}`, layer.data);

  // --- elements --------------------------------------------------------------------------

  const SVG = "http://www.w3.org/2000/svg";
  const DRAWN = new Set(["svg", "rect", "text", "path", "line", "g", "circle"]);

  /* An element: attributes as an object (on...: listeners, style: an object), then children. */
  function element(tag, attributes = {}, ...children) {
    const made = DRAWN.has(tag) ? document.createElementNS(SVG, tag) : document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (value === null || value === undefined || value === false) continue;
      if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
      else if (name === "style") Object.assign(made.style, value);
      else made.setAttribute(name, value === true ? "" : value);
    }
    made.append(...children.flat(3).filter((child) => child !== null && child !== undefined));
    return made;
  }

  // --- addresses -------------------------------------------------------------------------

  const path = (...parts) => "#" + parts.map(encodeURIComponent).join("/");

  /* #vgg16/block3_conv2/17, also of what is asked for: #vgg16/block3_conv2?q=dark&sort=r. */
  function address(layer = null, filter = null, asked = {}) {
    const parts = [index().network, layer, filter].filter((part) => part !== null);
    const given = Object.entries(asked).filter(([, value]) => value);
    return path(...parts) + (given.length ? `?${new URLSearchParams(given)}` : "");
  }

  function read(hash) {
    const [way, asked = ""] = hash.replace(/^#/, "").split("?");
    try {
      const parts = way.split("/").filter(Boolean).map(decodeURIComponent);
      return {parts, asked: Object.fromEntries(new URLSearchParams(asked))};
    } catch {  // a % that encodes nothing
      return {parts: [way], asked: {}};
    }
  }

  // --- pictures --------------------------------------------------------------------------

  /* One picture of a sprite, `side` pixels wide; null if there is none. */
  function picture(layer, kind, filter, {side = 96, at = 0, label = ""} = {}) {
    const sheet = layer.sprites[kind];
    if (!sheet) return null;
    const row = filter % sheet.per;
    const [x, y] = sheet.each === 1 ? [row % sheet.columns, Math.floor(row / sheet.columns)]
      : [at, row];
    const count = Math.min(sheet.per, layer.filters - (filter - row));
    const rows = sheet.each === 1 ? Math.ceil(count / sheet.columns) : count;
    const file = sheet.files[Math.floor(filter / sheet.per)];
    return element("span", {
      class: "sprite", role: label ? "img" : null, "aria-label": label || null,
      "aria-hidden": label ? null : "true",
      style: {width: `${side}px`, height: `${side}px`,
              backgroundImage: `url("pictures/${encodeURIComponent(file)}")`,
              backgroundSize: `${sheet.columns * side}px ${rows * side}px`,
              backgroundPosition: `${-x * side}px ${-y * side}px`}});
  }

  /* A link to a filter's page, with its picture if there is one. */
  function unitLink(layer, filter, {side = 72, words = "", from = null} = {}) {
    if (!layer || !(filter < layer.filters)) return element("span", {}, words || `${filter}`);
    const name = from === layer ? `filter ${filter}` : `${layer.name}, filter ${filter}`;
    return element("a", {class: "unit", href: address(layer.name, filter)},
      picture(layer, "picture", filter, {side}) ?? blank(layer, filter, side),
      element("span", {class: "name"}, words || name));
  }

  /* In place of a picture that has not been drawn: its ten kernels, red or blue. */
  function blank(layer, filter, side) {
    const signs = layer.signs[filter], wide = side / 5;
    return element("svg", {class: "blank", width: side, height: side, viewBox: `0 0 ${side} ${side}`,
                           "aria-hidden": "true"},
      signs.map((sign, i) => element("rect", {
        x: (i % 5) * wide + 1, y: side / 2 + (i < 5 ? -wide : 0) + 1, width: wide - 2,
        height: wide - 2, fill: explorer.colour(sign)})));
  }

  // --- words -----------------------------------------------------------------------------

  /* From 100 on without decimals, which would say nothing, and with separators. */
  const number = (value, digits = 2) => {
    if (value === null || value === undefined) return "–";
    const text = Math.abs(value) < 99.95 ? value.toFixed(digits)
      : value.toLocaleString("en", {maximumFractionDigits: 0});
    return text.replace(/^-(?=0(\.0*)?$)/, "").replace("-", "−");
  };
  const signed = (value, digits = 2) => {
    const text = number(value, digits);
    return value > 0 && /[1-9]/.test(text) ? `+${text}` : text;
  };
  const share = (value) => value === null || value === undefined ? "–"
    : `${number(100 * value, 0)} %`;

  /* Say something to those who do not see the page change, and to all at its foot. */
  function say(text) {
    document.getElementById("said").textContent = text;
  }

  /* The Python that makes what a card shows, folded, with a button. */
  function call(kind, layer, filter) {
    const code = index().calls[kind].replaceAll("LAYERNAME", layer.name)
      .replaceAll("LAYER", `"${layer.name}"`).replaceAll("FILTER", filter)
      .replaceAll("SIZE", layer.size);
    const pre = element("pre", {tabindex: 0, role: "group", "aria-label": "Python"}, code);
    const button = element("button", {type: "button", class: "take", onclick: async () => {
      box.open = true;
      const done = await copyText(pre);
      button.textContent = done ? "copied" : "selected: press Ctrl+C";
      say(done ? "The call is copied." : "The call is selected: press Ctrl+C.");
      setTimeout(() => { button.textContent = "copy the call"; }, 2000);
    }}, "copy the call");
    const box = element("details", {class: "call"}, element("summary", {}, "Python"), pre);
    return element("div", {class: "calls"}, button, box);
  }

  /* What makes a layer's pictures and analysis. */
  const command = (layer) => `${index().command} LAYERS="${layer.name}"`;

  function missing(what, layer) {
    return element("p", {class: "missing"}, `${what} In the project's folder, `, element("code", {},
      command(layer)), " makes it; then reload this page.");
  }

  return {add, load, index, layerOf, unitsOf, element, address, read, picture, unitLink, blank,
          number, signed, share, say, call, command, missing};
})();
