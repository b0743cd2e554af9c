/* Which of two patches excites a filter more? Judged from its picture alone, or from its
   description alone, on patches that no page shows: how informative is either, really? */
(() => {
  "use strict";
  const {element, address, picture, unitsOf, number, say} = explorer;
  const ROUNDS = 20, SHOWN = 9, FROM = {picture: "its picture", description: "its description"};

  /* Numbers below 1 that a seed decides (a linear congruence). */
  function draws(seed) {
    let state = seed >>> 0;
    return () => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return state / 2 ** 32;
    };
  }

  /* Twenty questions: a filter, two unseen patches, which of them is the stronger. */
  function questions(layer, units, from, random) {
    const usable = units.flatMap((unit, filter) => {
      const unseen = unit.analysis?.patches.slice(SHOWN) ?? [];
      const told = from === "picture" ? unit.pictures.picture && !unit.pictures.picture.flat
        : unit.analysis?.parts.length;
      return told && unseen.length >= 2 && unseen[0][1] > unseen.at(-1)[1] ? [[filter, unseen]]
        : [];
    });
    for (let i = usable.length - 1; i > 0; i--) {
      const j = Math.floor(random() * (i + 1));
      [usable[i], usable[j]] = [usable[j], usable[i]];
    }
    return usable.slice(0, ROUNDS).map(([filter, unseen]) => {
      const weak = unseen.length - 1, turned = random() < 0.5;
      const pair = turned ? [weak, 0] : [0, weak];  // the strongest and the weakest unseen one
      return {filter, pair: pair.map((at) => [SHOWN + at, ...unseen[at]]), right: turned ? 1 : 0};
    });
  }

  /* Wilson's 95 % interval of a share. */
  function interval(right, asked) {
    const z = 1.96, p = right / asked, middle = (p + z * z / (2 * asked)) / (1 + z * z / asked);
    const half = z * Math.sqrt(p * (1 - p) / asked + (z / (2 * asked)) ** 2) / (1 + z * z / asked);
    return [middle - half, middle + half];
  }

  function told(layer, filter, unit, from) {
    if (from === "picture") {
      return picture(layer, "picture", filter, {side: 192, label: "The filter's picture"});
    }
    const text = unit.analysis.hypothesis.replace(/^Filter \d+ of \S+/, "It");
    return element("p", {class: "told"}, text);
  }

  async function quizPage(layer, asked) {
    const units = await unitsOf(layer), from = asked.from in FROM ? asked.from : "picture";
    const seed = Number(asked.seed) || Math.floor(Math.random() * 1e9);
    const rounds = questions(layer, units, from, draws(seed)), box = element("div", {class: "quiz"});
    const answers = [];
    const title = `Quiz: ${layer.name}`;
    const choice = element("p", {}, "Judge from ", Object.entries(FROM).flatMap(
      ([name, words], i) => [i ? " or " : "", name === from ? element("strong", {}, words)
        : element("a", {href: `${address(layer.name, "quiz")}?from=${name}`}, words)]), " alone.");

    function ask() {
      const {filter, pair, right} = rounds[answers.length];
      const buttons = pair.map(([at], i) => element("button", {
        type: "button", onclick: () => answer(i === right, filter, pair)},
      picture(layer, "patches", filter, {side: 128, at}),
      element("span", {}, `patch ${i ? "B" : "A"}`)));
      box.replaceChildren(element("h2", {}, `${answers.length + 1} of ${rounds.length}`), score(),
        told(layer, filter, units[filter], from),
        element("p", {}, "Which patch excites this filter more?"),
        element("div", {class: "pair"}, buttons));
      if (answers.length) buttons[0].focus();
    }

    const score = () => element("p", {class: "score"}, answers.length
      ? `${answers.filter((one) => one.right).length} of ${answers.length} right so far` : "\u00a0");

    /* The question stays, with what came of it; the next one waits for a click. */
    function answer(right, filter, pair) {
      answers.push({right, filter});
      const values = pair.map(([, , value], i) => `${"AB"[i]} ${number(value, 1)}`);
      const last = `Filter ${filter}: ${right ? "right" : "wrong"}. ${values.join(", ")}.`;
      say(last);
      const more = answers.length < rounds.length;
      const next = element("button", {type: "button", onclick: more ? ask : finish},
        more ? "next" : "the result");
      box.querySelectorAll("button").forEach((button, i) => {
        button.disabled = true;
        button.lastChild.textContent = values[i];
      });
      box.querySelector(".score").replaceWith(score());
      box.append(element("p", {class: "last"}, element("strong", {}, last), " ",
        element("a", {href: address(layer.name, filter)}, "Its page"), " ends this quiz."), next);
      next.focus();
    }

    function finish() {
      const right = answers.filter((one) => one.right).length;
      const [low, high] = interval(right, answers.length);
      box.replaceChildren(element("h2", {tabindex: -1}, `${right} of ${answers.length} right`),
        element("p", {}, `From ${FROM[from]} alone, ${number(100 * right / answers.length, 0)} % `
          + `[${number(100 * low, 0)}, ${number(100 * high, 0)}] (95 % interval); guessing gives `
          + "50 %."),
        element("p", {}, "The filters: ", answers.flatMap(({right: was, filter}, i) => [
          i ? ", " : "", element("a", {href: address(layer.name, filter)},
                                 `${filter} ${was ? "✓" : "✗"}`)]), "."),
        element("button", {type: "button", onclick: () => {
          answers.length = 0;
          ask();
        }}, "again"));
      box.querySelector("h2").focus();
    }

    if (rounds.length) ask();
    else box.append(explorer.missing(`No filter of ${layer.name} has ${FROM[from]} and patches `
      + "that no page shows.", layer));
    return {title, keys: {up: address(layer.name)},
            body: [element("h1", {}, title), element("p", {}, element("a", {href: address(layer.name)},
              `all of ${layer.name}`)), choice, box]};
  }

  Object.assign(explorer, {quizPage, interval});
})();
