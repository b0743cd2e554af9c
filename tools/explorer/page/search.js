/* Finding filters: words over properties, families, classes and hypotheses; sorting by numbers. */
(() => {
  "use strict";
  const folded = (text) => text.toLowerCase().normalize("NFKD").replace(/[\u0300-\u036f]/g, "");
  const letter = (text, at) => at >= 0 && at < text.length && /[\p{L}\p{N}]/u.test(text[at]);
  const starts = (text, phrase, whole = false) => {  // at the beginning of a word, or as words
    for (let at = text.indexOf(phrase); at >= 0; at = text.indexOf(phrase, at + 1)) {
      if (!letter(text, at - 1) && !(whole && letter(text, at + phrase.length))) return true;
    }
    return false;
  };
  const inName = (layer, phrase) => {  // block3_conv2: block3, conv2, or all of it
    const name = folded(layer.name);
    return name === phrase || name.startsWith(`${phrase}_`) || name.endsWith(`_${phrase}`);
  };

  /* What each filter of a layer is searched by, made once. */
  const prepared = new WeakMap();
  function prepare(layer) {
    if (!prepared.has(layer)) {
      prepared.set(layer, {
        tags: Object.entries(layer.tags).map(([kind, {words, of}]) => (
          {kind, words: words.map(folded), of})),
        texts: layer.texts.map(folded)});
    }
    return prepared.get(layer);
  }

  const phrases = (query) => folded(query).split(/[,;]/).map((part) => part.trim())
    .filter(Boolean);

  const isTag = (phrase, layers, whole) => layers.some((layer) => prepare(layer).tags.some(
    ({words}) => words.some((word) => starts(word, phrase, whole))));
  const inTexts = (phrase, layers) => layers.some((layer) => prepare(layer).texts.some(
    (text) => starts(text, phrase, true)));

  /* How a phrase is read in some layers: as {tag, whole} or as {words: [[word, whole]]}.
     What names a tag is looked for among tags alone, so that "dark" is what a filter prefers and not
     every hypothesis that mentions a dark bar; "nets" is asked for where "net" is written. Whole
     words go before beginnings: "car" is no carnivore, and "bus" no building. */
  let latest = {layers: [], read: new Map()};
  function asRead(phrase, layers) {
    if (layers.length !== latest.layers.length || layers.some((one, i) => one !== latest.layers[i])) {
      latest = {layers: [...layers], read: new Map()};
    }
    if (!latest.read.has(phrase)) {
      const tag = [phrase, phrase.replace(/s$/, "")].find((word) => isTag(word, layers, true));
      const begun = tag === undefined && isTag(phrase, layers, false) && !inTexts(phrase, layers);
      latest.read.set(phrase, tag !== undefined ? {tag, whole: true}
        : begun ? {tag: phrase, whole: false}
          : {words: phrase.split(/\s+/).map((word) => {
            const whole = [word, word.replace(/s$/, "")].find((one) => inTexts(one, layers));
            return [whole ?? word, whole !== undefined];
          })});
    }
    return latest.read.get(phrase);
  }

  /* Whether every phrase names a tag: then "dark nets" may be meant as "dark, nets". */
  const areTags = (query, layers) => phrases(query).every(
    (phrase) => asRead(phrase, layers).tag !== undefined);

  /* Filters of some layers that answer to all phrases and choices.
     Returns [{layer, filter}], in the order of layers and numbers. */
  function find(layers, query, chosen = {}) {
    const asked = phrases(query).map((phrase) => ({phrase, ...asRead(phrase, layers),
      number: /^(filter )?\d+$/.test(phrase), named: layers.some((one) => inName(one, phrase))}));
    const found = [];
    for (const layer of layers) {
      const {tags, texts} = prepare(layer);
      const tests = asked.map(({phrase, tag, whole, words: said, number, named}) => {
        if (number) return (filter) => filter === Number(phrase.replace("filter ", ""));
        if (named) return () => inName(layer, phrase);
        if (tag === undefined) {
          return (filter) => said.every(([word, all]) => starts(texts[filter], word, all));
        }
        const hits = tags.map(({words, of}) => (
          {of, at: new Set(words.flatMap((word, i) => starts(word, tag, whole) ? [i] : []))}));
        return (filter) => hits.some(({of, at}) => of[filter].some((word) => at.has(word)));
      });
      for (const [kind, word] of Object.entries(chosen)) {
        const tag = layer.tags[kind], at = tag ? tag.words.indexOf(word) : -1;
        tests.push((filter) => at >= 0 && tag.of[filter].includes(at));
      }
      for (let filter = 0; filter < layer.filters; filter++) {
        if (tests.every((test) => test(filter))) found.push({layer, filter});
      }
    }
    return found;
  }

  /* Why a filter answers to a search, where that is not plain: the words of a tag that is not
     written as it was asked for, or the clause of the text in which the words stand. */
  function why(layers, {layer, filter}, query) {
    const {tags, texts} = prepare(layer);
    return phrases(query).flatMap((asked) => {
      if (/^(filter )?\d+$/.test(asked) || layers.some((one) => inName(one, asked))) return [];
      const {tag, whole, words: said} = asRead(asked, layers);
      if (tag !== undefined) {
        return tags.flatMap(({words, of}) => of[filter].map((at) => words[at]).filter(
          (word) => starts(word, tag, whole) && word !== tag));
      }
      // clauses: what stands in parentheses stays with what it is said of
      const parts = texts[filter].split(/\s·\s|[.;:\n](?=\s|$)|,(?=\s)(?![^(]*\))/).map(
        (part) => part.trim());
      const hits = (part) => said.filter(([word, all]) => starts(part, word, all)).length;
      const most = Math.max(...parts.map(hits));
      return most ? [parts.find((part) => hits(part) === most)] : [];
    });
  }

  /* The largest first (or the smallest); those of which the number is not known last. */
  function sort(found, measure, rising = false) {
    if (!measure) return found;
    const value = ({layer, filter}) => layer.measures[measure]?.[filter] ?? null;
    const turn = rising ? 1 : -1;
    return [...found].sort((a, b) => {
      const one = value(a), two = value(b);
      if (one === null || two === null) return (one === null) - (two === null);
      return turn * (one - two);
    });
  }

  /* Words of a kind of tag over some layers, with how many filters have each. */
  function choices(layers, kind) {
    const counts = new Map();
    for (const {tags} of layers) {
      for (const at of tags[kind]?.of.flat() ?? []) {
        const word = tags[kind].words[at];
        counts.set(word, (counts.get(word) ?? 0) + 1);
      }
    }
    return [...counts].sort(([, a], [, b]) => b - a);
  }

  const tagsOf = (layer, filter) => Object.entries(layer.tags).flatMap(
    ([kind, {words, of}]) => of[filter].map((at) => ({kind, word: words[at]})));

  Object.assign(explorer, {find, why, areTags, sort, choices, tagsOf});
})();
