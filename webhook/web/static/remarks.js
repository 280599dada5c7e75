/** Which annotation a message or a warning speaks of. */

const PART_OF_A_NAME = /[A-Za-z0-9_-]/;

/** The annotations of an object under the prefix that its author wrote: [[full name, value]]. */
export function annotationsOf(manifest, prefix, written) {
  const given = manifest?.metadata?.annotations ?? {};
  const ours = new Set(written.map((name) => prefix + name));
  return Object.entries(given).filter(([name]) => name.startsWith(prefix) && !ours.has(name));
}

/**
 * The full names, out of `names`, of the annotations that a remark is about: the one that it names first, and those
 * that it lists with it. What it names later is what to write instead.
 */
export function subjects(remark, names) {
  const first = nextOf(remark, names, 0);
  if (!first) {
    return [];
  }
  const found = [first.name];
  let end = first.end;
  while (remark.startsWith(", ", end)) {
    const next = nextOf(remark, names, end + 2);
    if (next?.start !== end + 2) {
      break;
    }
    found.push(next.name);
    end = next.end;
  }
  return found;
}

/**
 * The last parts of the names of annotations that a remark may be about, the likeliest first, where it names none: what
 * is said of a model quotes the model's name, and what is said of its version both.
 */
export function quoted(remark, annotations) {
  const isQuoted = (part) => annotations.some(([name, value]) => name.endsWith(`/${part}`) && hasWord(remark, value));
  return isQuoted("model") ? ["version", "model"].filter(isQuoted) : [];
}

function hasWord(text, word) {
  const isApart = (sign) => !PART_OF_A_NAME.test(sign ?? "");
  let start = word ? text.indexOf(word) : -1;
  while (start >= 0 && !(isApart(text[start - 1]) && isApart(text[start + word.length]))) {
    start = text.indexOf(word, start + 1);
  }
  return start >= 0;
}

/** The first name after `from`; of several that begin there, the longest. */
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
 * Remarks by the place and annotation that they are about. `places` are lists of [name, value]; each remark is
 * {text, kind, at, about}, with the index of the place that it is known to be of, and the last parts of the names that it
 * may be about where it names none. What is about no annotation comes first.
 */
export function placed(remarks, places) {
  const general = [];
  const beside = places.map(() => new Map());
  for (const remark of remarks) {
    const order = [remark.at, ...places.keys()];
    const names = order.map((at) => subjects(remark.text, places[at].map(([name]) => name)));
    const meant = remark.about.map((part) => places[remark.at].find(([name]) => name.endsWith(`/${part}`)));
    names[0] = names[0].length ? names[0] : meant.filter(Boolean).slice(0, 1).map(([name]) => name);
    const found = names.findIndex((each) => each.length);
    if (found < 0 && !general.some(({ text }) => text === remark.text)) {
      general.push(remark);
    }
    for (const name of names[found] ?? []) {
      const there = beside[order[found]];
      there.set(name, [...(there.get(name) ?? []), remark]);
    }
  }
  return { general, beside };
}
