/* What the house's pages can do where scripts run. Without one they read and print the same. */
(() => {
  "use strict";
  const all = (selector) => [...document.querySelectorAll(selector)];

  function made(tag, attributes) {
    return Object.assign(document.createElement(tag), attributes);
  }

  // --- code: copy it ---------------------------------------------------------------------

  for (const pre of all("details.code pre")) {
    const button = made("button", {type: "button", className: "copy", textContent: "copy"});
    button.addEventListener("click", async () => {
      button.textContent = await copyText(pre) ? "copied" : "selected: press Ctrl+C";
      setTimeout(() => { button.textContent = "copy"; }, 2000);
    });
    pre.before(button);
  }

  const every = document.getElementById("show-code");
  every?.addEventListener("change", () => {
    for (const code of all("details.code")) code.open = every.checked;
  });

  // --- figures: see them larger ----------------------------------------------------------

  const large = made("dialog", {className: "large"});
  large.addEventListener("click", () => large.close());
  document.body.append(large);

  function enlarge(figure) {
    const {src, alt} = figure.querySelector("img");
    const textContent = figure.querySelector("figcaption p").textContent;
    large.replaceChildren(
      made("button", {type: "button", textContent: "close", autofocus: true}),
      made("img", {src, alt}), made("p", {textContent}));
    large.showModal();
    large.scrollTo(0, 0);
  }

  for (const figure of all("figure:has(figcaption)")) {
    const button = made("button", {type: "button", className: "enlarge", textContent: "enlarge"});
    button.setAttribute("aria-label", `enlarge ${figure.id.replace("-", " ")}`);
    button.addEventListener("click", () => enlarge(figure));
    figure.querySelector("figcaption").prepend(button);
    figure.querySelector("img").addEventListener("click", () => enlarge(figure));
    figure.classList.add("enlarges");
  }

  // --- contents: you are here ------------------------------------------------------------

  const entries = new Map(all(".contents ol a").map(
    (entry) => [decodeURIComponent(entry.hash.slice(1)), entry]));
  const headings = all("h2, h3").filter((heading) => entries.has(heading.id));

  function mark() {
    const above = headings.filter((h) => h.getBoundingClientRect().top < innerHeight / 4);
    const here = above.length ? entries.get(above.at(-1).id) : null;
    for (const entry of entries.values()) {
      if (entry !== here) entry.removeAttribute("aria-current");
    }
    if (here === null || here.ariaCurrent) return;
    here.setAttribute("aria-current", "location");
    const list = here.closest(".contents"), away = here.offsetTop - list.scrollTop;
    if (away < 0 || away > list.clientHeight - 40) {
      list.scrollTop = here.offsetTop - list.clientHeight / 2;
    }
  }

  let waiting = false;
  addEventListener("scroll", () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; mark(); });
  }, {passive: true});
  mark();
})();
