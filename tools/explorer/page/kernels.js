/* Kernels as signed squares: red excites, blue inhibits, marked + and − as well. */
(() => {
  "use strict";
  const {element, signed} = explorer;
  // Blue over white to red, matplotlib's RdBu reversed, at steps of a quarter.
  const STOPS = [[5, 48, 97], [67, 147, 195], [247, 247, 247], [214, 96, 77], [103, 0, 31]];
  const MARKED = 0.2;  // of the scale: smaller taps carry no sign

  /* The colour of a number between −1 and 1. */
  function colour(value) {
    const at = (Math.max(-1, Math.min(1, value ?? 0)) + 1) * 2, low = Math.min(3, Math.floor(at));
    const mixed = STOPS[low].map((part, i) => Math.round(
      part + (at - low) * (STOPS[low + 1][i] - part)));
    return `rgb(${mixed.join(" ")})`;
  }

  /* A kernel; `scale` is what is fully red. Hovering, or the arrow keys, read out one tap. */
  function kernel(taps, [rows, columns], scale, {label, side = 72, tell = () => {}} = {}) {
    const cell = 24, where = (at) => `row ${Math.floor(at / columns) + 1}, column ${
      at % columns + 1}: ${signed(taps[at], 4)}`;
    const size = {width: columns * cell, height: rows * cell};
    const cells = taps.map((tap, at) => {
      const x = (at % columns) * cell, y = Math.floor(at / columns) * cell;
      const value = scale ? tap / scale : 0;
      return element("g", {onpointerenter: () => show(at)},
        element("rect", {x, y, width: cell, height: cell, fill: colour(value)}),
        Math.abs(value) >= MARKED && element("text", {
          x: x + cell / 2, y: y + cell / 2, class: Math.abs(value) > 0.45 ? "light" : "dark"},
        tap > 0 ? "+" : "−") || null);
    });
    const frame = element("rect", {class: "here", width: cell - 2, height: cell - 2, x: 1, y: 1,
                                   visibility: "hidden"});
    let here = -1;
    function show(at) {
      here = at;
      frame.setAttribute("x", (at % columns) * cell + 1);
      frame.setAttribute("y", Math.floor(at / columns) * cell + 1);
      frame.setAttribute("visibility", "visible");
      tell(where(at));
    }
    function hide() {
      here = -1;
      frame.setAttribute("visibility", "hidden");
      tell("");
    }
    const steps = {ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns};
    return element("svg", {
      class: "kernel", role: "img", tabindex: 0, viewBox: `0 0 ${size.width} ${size.height}`,
      width: side, height: side * rows / columns, "aria-label": label,
      onblur: hide,
      onpointerleave: (event) => { if (event.pointerType !== "touch") hide(); },  // a finger leaves
      onfocus: (event) => {
        if (event.target.matches(":focus-visible") && here < 0) show(0);
      },
      onkeydown: (event) => {
        const next = here + (steps[event.key] ?? NaN);
        if (Number.isNaN(next)) return;
        event.preventDefault();
        event.stopPropagation();
        if (next >= 0 && next < taps.length) show(next);
      }}, cells, frame);
  }

  /* What red and blue stand for. */
  function scaleBar(scale) {
    const steps = 41;
    return element("p", {class: "scale"}, "−" + scale.toFixed(3),
      element("svg", {width: 160, height: 12, "aria-hidden": "true"},
        Array.from({length: steps}, (_, i) => element("rect", {
          x: i * 160 / steps, width: 160 / steps + 0.5, height: 12,
          fill: colour(2 * i / (steps - 1) - 1)}))),
      "+" + scale.toFixed(3), element("span", {}, "one scale for all kernels: red (+) excites, "
        + "blue (−) inhibits"));
  }

  Object.assign(explorer, {kernel, colour, scaleBar});
})();
