/** What a preview has come to: a section for each document. */

import { diffView } from "./diff.js";
import { element, folded, scrolling } from "./elements.js";
import { models } from "./models.js";
import { picture } from "./picture.js";
import { readPod } from "./pod.js";
import { annotationsOf, placed, quoted } from "./remarks.js";

const WORDS = {
  injected: "Injected",
  pinned: "Pinned",
  unchanged: "Unchanged",
  skipped: "Left alone",
  refused: "Refused",
};

/** Of a refusal that names no annotation: the last parts of the names that it is about, the likeliest first. */
const OF_A_VERSION = ["version", "models", "model"];
const OF_A_MODEL = ["model", "models"];
const ABOUT = {
  UnknownModel: OF_A_MODEL,
  Forbidden: OF_A_MODEL,
  UnknownVersion: OF_A_VERSION,
  Unpublished: OF_A_VERSION,
  Incomplete: OF_A_VERSION,
  Archived: OF_A_VERSION,
  NoAccess: OF_A_VERSION,
};

/** One sentence about all documents. */
export function summary(documents) {
  if (documents.length === 1) {
    return `${title(documents[0])}: ${word(documents[0].decision).toLowerCase()}.`;
  }
  const counts = new Map();
  for (const { decision } of documents) {
    counts.set(decision, (counts.get(decision) ?? 0) + 1);
  }
  const parts = [...counts].map(([decision, count]) => `${count} ${word(decision).toLowerCase()}`);
  return `${documents.length} documents: ${parts.join(", ")}.`;
}

function word(decision) {
  return WORDS[decision] ?? decision;
}

/** The sections, with a list of links before them where there are several. `names` has the annotations' prefix. */
export function results(documents, names) {
  const sections = documents.map((each, index) => (isQuiet(each) ? line(each, index) : section(each, index, names)));
  return documents.length > 1 ? [contents(documents), ...sections] : sections;
}

function isQuiet({ decision, warnings, message, models: found }) {
  return decision === "skipped" && !warnings.length && !message && !found.length;
}

function contents(documents) {
  const items = documents.map((each, index) =>
    element("li", {}, element("a", { href: `#document-${index + 1}` }, title(each)), " ", badge(each.decision)),
  );
  return element("nav", { class: "card", "aria-label": "Documents" }, element("ol", { class: "contents" }, items));
}

function title({ kind, namespace, name }) {
  return [kind, name ? `${namespace}/${name}` : namespace].join(" ");
}

function badge(decision) {
  return element("span", { class: `badge ${decision in WORDS ? decision : ""}` }, word(decision));
}

function line(each, index) {
  return element(
    "p",
    { class: "card quiet", id: `document-${index + 1}`, tabindex: "-1" },
    element("span", {}, title(each)),
    badge(each.decision),
    reason(each),
  );
}

function reason(each) {
  const isTold = each.reason.toLowerCase() === each.decision;
  return !isTold && element("code", { class: "reason" }, each.reason);
}

function section(each, index, names) {
  const heading = element("h3", { id: `document-${index + 1}`, tabindex: "-1" }, title(each));
  const isPod = each.kind === "Pod"; // then the document is what it makes
  const pods = isPod ? [{ ...each, path: null, where: "Annotations" }] : each.pods.map((pod) => podOf(each, pod));
  const { manifest, warnings } = each;
  const whole = { manifest, warnings, where: "Annotations on the object itself", isWhole: true };
  const places = isPod ? pods : [...pods, whole];
  const given = places.map((place) => annotationsOf(place.manifest, names.prefix, names.written));
  const { general, beside } = placed(remarksOf(places, given), given);
  return element(
    "article",
    { class: "card document", "aria-labelledby": heading.id },
    element("header", {}, heading, badge(each.decision), reason(each)),
    general.map(remark),
    places.map(({ where }, at) => annotations(where, given[at], beside[at])),
    each.models.length > 0 && [element("h4", {}, each.models.length > 1 ? "Models" : "Model"), models(each.models)],
    pods.filter((pod) => pod.decision !== "refused").map(pictured),
    each.diff && changes(each),
    raw("JSON Patch", each.patch),
    pods.map((pod) => raw(`Pod${named(pod)}, as it ${pod.decision === "refused" ? "is" : "will be"}`, pod.manifest)),
  );
}

/** A pod of a workload; where there are several, they are told apart by their templates' paths. */
function podOf({ pods }, pod) {
  const path = pods.length > 1 ? pod.path : null;
  return { ...pod, path, where: `Annotations ${path ? `of ${path}` : "of its pods"}` };
}

function named({ path }) {
  return path ? ` of ${path}` : "";
}

/** What is said of each place, refusals first. The document repeats what is said of its pods; that is left out. */
function remarksOf(places, given) {
  const said = new Set();
  const remarks = places.flatMap(({ isWhole, message, reason, warnings }, at) => {
    const fresh = isWhole ? warnings.filter((text) => !said.has(text)) : warnings;
    warnings.forEach((text) => said.add(text));
    const refusal = { text: message, kind: "refusal", at, about: ABOUT[reason] ?? [] };
    return [message && refusal, ...fresh.map((text) => ({ text, kind: "warning", at, about: quoted(text, given[at]) }))];
  });
  return remarks.filter(Boolean).sort((one, other) => (other.kind === "refusal") - (one.kind === "refusal"));
}

function remark({ text, kind }) {
  const word = kind === "refusal" ? "Refused" : "Warning";
  return element("p", { class: `remark ${kind}` }, element("b", {}, word), " ", text);
}

function annotations(where, given, beside) {
  if (!given.length) {
    return null;
  }
  const rows = given.map(([name, value]) => [
    element("dt", {}, helped(name)),
    element(
      "dd",
      {},
      element("code", { class: "value" }, typeof value === "string" ? value : JSON.stringify(value)),
      (beside.get(name) ?? []).map(remark),
    ),
  ]);
  return [element("h4", {}, where), element("dl", { class: "given" }, rows)];
}

/** An annotation's name, with a link to what the list tells of it. */
function helped(name) {
  const id = `annotation-${name.slice(name.indexOf("/") + 1)}`;
  const code = element("code", {}, name);
  return document.getElementById(id) ? element("a", { href: `#${id}` }, code) : code;
}

function pictured(pod) {
  return [element("h4", {}, `The pod${named(pod)}`), picture(readPod(pod.manifest, pod.patch))];
}

function changes(each) {
  const { form, box } = diffView(each.diff, `Changes of ${title(each)}`);
  return [element("div", { class: "between" }, element("h4", {}, "Changes"), form), box];
}

function raw(name, value) {
  const isEmpty = Array.isArray(value) && !value.length;
  return !isEmpty && folded(name, () => scrolling(name, element("pre", {}, JSON.stringify(value, null, 2))));
}
