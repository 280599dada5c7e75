/** Assigns messages and warnings to the annotations that they are about. */

const PART_OF_A_NAME = /[A-Za-z0-9_-]/;

/** The annotations under the prefix, without those that the webhook writes: [[full name, value]]. */
export function annotationsOf(manifest, prefix, written) {
  const annotations = manifest?.metadata?.annotations ?? {};
  const byWebhook = new Set(written.map((name) => prefix + name));
  return Object.entries(annotations).filter(([name]) => name.startsWith(prefix) && !byWebhook.has(name));
}

/**
 * The full names in `names` of the annotations that a remark is about: the first that it mentions, and those in the
 * same comma-separated list. Names that it mentions later are suggestions.
 */
export function subjects(remark, names) {
  const first = nextOf(remark, names, 0);
  if (!first) {
    return [];
  }
  const subjectNames = [first.name];
  let end = first.end;
  while (remark.startsWith(", ", end)) {
    const next = nextOf(remark, names, end + 2);
    if (next?.start !== end + 2) {
      break;
    }
    subjectNames.push(next.name);
    end = next.end;
  }
  return subjectNames;
}

/**
 * The names without prefix of the annotations that a remark without names may be about, the most likely first. A remark
 * about a model quotes the value of `model`; a remark about a version quotes the values of both.
 */
export function quoted(remark, annotations) {
  const isQuoted = (part) => annotations.some(([name, value]) => name.endsWith(`/${part}`) && hasWord(remark, value));
  return isQuoted("model") ? ["version", "model"].filter(isQuoted) : [];
}

function hasWord(text, word) {
  const isBoundary = (character) => !PART_OF_A_NAME.test(character ?? "");
  let start = word ? text.indexOf(word) : -1;
  while (start >= 0 && !(isBoundary(text[start - 1]) && isBoundary(text[start + word.length]))) {
    start = text.indexOf(word, start + 1);
  }
  return start >= 0;
}

/** The first name in `remark` at or after `from`, the longest if several start at the same index; else null. */
function nextOf(remark, names, from) {
  let best = null;
  for (const name of names) {
    let start = remark.indexOf(name, from);
    while (start >= 0 && PART_OF_A_NAME.test(remark[start + name.length] ?? "")) {
      start = remark.indexOf(name, start + 1);
    }
    const end = start + name.length;
    if (start >= 0 && (!best || start < best.start || (start === best.start && end > best.end))) {
      best = { name, start, end };
    }
  }
  return best;
}

/**
 * Groups remarks by place and annotation. `places` is a list of places, each a list of [name, value]. A remark is
 * {text, kind, at, about}: `at` is the index of its place, and `about` has the names without prefix of the annotations
 * that it may be about if its text names none. Returns {general, beside}: the remarks about no annotation without
 * duplicates, and for each place a map from annotation names to remarks.
 */
export function placed(remarks, places) {
  const general = [];
  const beside = places.map(() => new Map());
  for (const remark of remarks) {
    const order = [remark.at, ...places.keys()];
    const names = order.map((at) => subjects(remark.text, places[at].map(([name]) => name)));
    const meant = remark.about.map((part) => places[remark.at].find(([name]) => name.endsWith(`/${part}`)));
    names[0] = names[0].length ? names[0] : meant.filter(Boolean).slice(0, 1).map(([name]) => name);
    const index = names.findIndex((subjectNames) => subjectNames.length);
    if (index < 0 && !general.some(({ text }) => text === remark.text)) {
      general.push(remark);
    }
    for (const name of names[index] ?? []) {
      const byName = beside[order[index]];
      byName.set(name, [...(byName.get(name) ?? []), remark]);
    }
  }
  return { general, beside };
}
