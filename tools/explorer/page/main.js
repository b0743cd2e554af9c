/* Addresses to pages, keys to addresses. */
(() => {
  "use strict";
  const {element, address, read, load, layerOf, index} = explorer;
  const page = document.getElementById("page"), words = document.getElementById("words");
  const layers = document.getElementById("layers"), places = new Map();
  let shown = null, keys = {}, clicked = false;

  function nowhere(what) {
    return {title: "not found", body: [element("h1", {}, "There is no such page"),
      element("p", {}, `${what} `, element("a", {href: address()}, "All layers"), ".")]};
  }

  function filterOf(layer, text) {
    return /^\d+$/.test(text) && Number(text) < layer.filters ? Number(text) : null;
  }

  /* The page of an address: {title, body, keys}. */
  async function pageOf({parts, asked}) {
    const [network, name, number, word, other, second] = parts;
    if (asked.sort && !(asked.sort in index().measures)) delete asked.sort;  // by number, then
    if (network === undefined) return explorer.home(asked);
    if (network !== index().network) return nowhere(`“${network}” is no network here: this is ${
      index().network}.`);
    if (name === undefined) return explorer.home(asked);
    const layer = layerOf(name);
    if (!layer) return nowhere(`${index().network} has no layer “${name}” with pages.`);
    if (number === undefined) return {...explorer.layerPage(layer, asked), keys: {up: address()}};
    if (number === "quiz" && word === undefined) return explorer.quizPage(layer, asked);
    const filter = filterOf(layer, number);
    if (filter === null) return nowhere(`${name} has filters 0 to ${layer.filters - 1}, no “${
      number}”.`);
    if (word === undefined) return explorer.unitPage(layer, filter);
    if (word !== "with" || parts.length > 6) return nowhere("Nothing is kept at this address.");
    const two = layerOf(other ?? "");
    if (!two) return nowhere(`${index().network} has no layer “${other ?? ""}” to compare with.`);
    if (filterOf(two, second ?? "") === null) {
      return nowhere(`${other} has filters 0 to ${two.filters - 1}, no “${second ?? ""}”.`);
    }
    return explorer.comparePage(layer, filter, two, Number(second));
  }

  async function show() {
    const wanted = location.hash, from = shown;
    if (from !== null) places.set(from, scrollY);
    let found;
    try {
      found = await pageOf(read(wanted));
    } catch (problem) {
      found = nowhere(`${problem.message}: the folder is not whole. Make the site again.`);
    }
    if (wanted !== location.hash) return;  // another was asked for meanwhile
    const {parts, asked} = read(wanted);
    shown = wanted;
    keys = found.keys ?? {};
    document.title = `${found.title} · ${index().network}`;
    const held = document.activeElement.closest("#page") ? document.activeElement.name : "";
    page.dataset.address = wanted;
    page.replaceChildren(...found.body.flat().filter(Boolean));
    if (document.activeElement !== words) words.value = asked.q ?? "";
    layers.value = layerOf(parts[1] ?? "") ? parts[1] : "";
    const sameSheet = from !== null && read(from).parts.join() === parts.join();
    if (sameSheet && held) {  // a choice above a sheet: the next one is a key away
      page.querySelector(`[name="${held}"]`)?.focus({preventScroll: true});
    } else if (from !== null && ![words, layers].includes(document.activeElement)) {
      page.focus({preventScroll: true});  // whoever listens hears the new page
    }
    if (!sameSheet) scrollTo(0, clicked ? 0 : places.get(wanted) ?? 0);
    clicked = false;
  }

  // --- finding and choosing ----------------------------------------------------------------

  function search() {
    const {parts, asked} = read(location.hash);
    const layer = layerOf(parts[1] ?? "") && parts.length === 2 ? parts[1] : null;
    location.hash = address(layer, null, {...(layer || parts.length < 2 ? asked : {}),
                                          q: words.value.trim()});
  }

  let pause;
  words.addEventListener("input", () => {
    clearTimeout(pause);
    pause = setTimeout(search, 150);
  });
  document.getElementById("find").addEventListener("submit", (event) => {
    event.preventDefault();
    clearTimeout(pause);
    search();
    page.querySelector(".tile")?.focus();
  });
  layers.addEventListener("change", () => { location.hash = address(layers.value || null); });
  document.addEventListener("click", (event) => {
    clicked = Boolean(event.target.closest("a"));
  });
  document.querySelector(".skip").addEventListener("click", (event) => {
    event.preventDefault();
    page.focus();
  });

  // --- keys ----------------------------------------------------------------------------------

  const KEYS = [["/", "find filters"], ["n or →", "next filter: of those found, "
                  + "after a search"], ["p or ←", "previous filter"],
                ["u", "up: what was found, the layer, or all layers"], ["arrows", "on a sheet: another filter; "
                  + "in a kernel: another tap"], ["?", "these keys"]];
  const large = element("dialog", {class: "keys", "aria-label": "Keys"}, element("h2", {}, "Keys"),
    element("dl", {}, KEYS.map(([key, does]) => [element("dt", {}, element("kbd", {}, key)),
                                                 element("dd", {}, does)])),
    element("button", {type: "button", autofocus: true, onclick: () => large.close()}, "close"));
  document.body.append(large);
  document.getElementById("help").addEventListener("click", () => large.showModal());

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || large.open) return;
    const chosen = event.target.closest("input[type=radio]");  // arrows go to its neighbour
    if (event.target.closest("input:not([type=radio]), select, .scroll, pre")
        || (chosen && event.key.startsWith("Arrow"))) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    const to = {n: keys.next, ArrowRight: keys.next, p: keys.prev, ArrowLeft: keys.prev,
                u: keys.up}[event.key];
    if (to) {
      clicked = true;
      location.hash = to;
    } else if (event.key === "/") {
      words.focus();
      words.select();
    } else if (event.key === "?") large.showModal();
    else return;
    event.preventDefault();
  });

  load("index", "data/index.js").then(() => {
    layers.append(element("option", {value: ""}, "layer …"), ...index().layers.map(
      (layer) => element("option", {value: layer.name}, layer.name)));
    document.getElementById("home").href = address();
    history.scrollRestoration = "manual";
    addEventListener("hashchange", show);
    return show();
  }).catch((problem) => {
    page.replaceChildren(element("h1", {}, "The folder is not whole"),
                         element("p", {}, `${problem.message}. Make the site again.`));
  });
})();
