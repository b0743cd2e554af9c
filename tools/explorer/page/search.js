/* Finding filters: words over properties, families, classes and hypotheses; sorting by numbers. */
(() => {
  "use strict";
  const folded = (text) => text.toLowerCase().normalize("NFKD").replace(/[\u0300-\u036f]/g, "");
  const starts = (text, phrase) => {  // at the beginning of a word
    for (let at = text.indexOf(phrase); at >= 0; at = text.indexOf(phrase, at + 1)) {
      if (at === 0 || !/[\p{L}\p{N}]/u.test(text[at - 1])) return true;
    }
    return false;
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

  /* Which phrases name a tag of some layer: those are looked for among tags alone, so that
     "dark" is what a filter prefers and not every hypothesis that mentions a dark bar. */
  function isTag(phrase, layers) {
    return layers.some((layer) => prepare(layer).tags.some(
      ({words}) => words.some((word) => starts(word, phrase))));
  }

  /* A phrase as its tag is written: "nets" is asked for, "net" is there. */
  const asTag = (phrase, layers) => [phrase, phrase.replace(/s$/, "")].find(
    (word) => isTag(word, layers));

  /* Filters of some layers that answer to all phrases and choices.
     Returns [{layer, filter}], in the order of layers and numbers. */
  function find(layers, query, chosen = {}) {
    const asked = phrases(query).map((phrase) => {
      const tag = asTag(phrase, layers);
      return {phrase: tag ?? phrase, tag: tag !== undefined, number: /^(filter )?\d+$/.test(phrase)};
    });
    const found = [];
    for (const layer of layers) {
      const {tags, texts} = prepare(layer);
      const tests = asked.map(({phrase, tag, number}) => {
        if (number) return (filter) => filter === Number(phrase.replace("filter ", ""));
        if (phrase === folded(layer.name)) return () => true;
        if (!tag) {
          const words = phrase.split(/\s+/);
          return (filter) => words.every((word) => starts(texts[filter], word));
        }
        const hits = tags.map(({words, of}) => (
          {of, at: new Set(words.flatMap((word, i) => starts(word, phrase) ? [i] : []))}));
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
      if (/^(filter )?\d+$/.test(asked) || asked === folded(layer.name)) return [];
      const tag = asTag(asked, layers);
      if (tag !== undefined) {
        return tags.flatMap(({words, of}) => of[filter].map((at) => words[at]).filter(
          (word) => starts(word, tag) && word !== tag));
      }
      const [first] = asked.split(/\s+/);
      return texts[filter].split(/[.;,:\n]/).map((part) => part.trim()).filter(
        (part) => starts(part, first)).slice(0, 1);
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

  Object.assign(explorer, {find, why, sort, choices, tagsOf});
})();
