/** Renders a preview: a section for preview document. */

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

/** The names without prefix of the annotations that a refusal may be about, by its reason; the most likely first. */
const OF_A_VERSION = ["version", "models", "model"];
const OF_A_MODEL = ["model", "models"];
const ABOUT = {
  UnknownModel: OF_A_MODEL,
  Forbidden: OF_A_MODEL,
  UnknownVersion: OF_A_VERSION,
  Unpublished: OF_A_VERSION,
  Incomplete: OF_A_VERSION,
  Archived: OF_A_VERSION,
  Withdrawn: OF_A_VERSION,
  NoAccess: OF_A_VERSION,
};

/** Summarizes the decisions on all documents in one sentence. */
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

/** The sections, after a list of links if there are several. `names` is {prefix, written}, for `annotationsOf`. */
export function results(documents, names) {
  const sections = documents.map((preview, index) =>
    isQuiet(preview) ? line(preview, index) : section(preview, index, names),
  );
  return documents.length > 1 ? [contents(documents), ...sections] : sections;
}

function isQuiet({ decision, warnings, message, models: injected }) {
  return decision === "skipped" && !warnings.length && !message && !injected.length;
}

function contents(documents) {
  const items = documents.map((preview, index) =>
    element("li", {}, element("a", { href: `#document-${index + 1}` }, title(preview)), " ", badge(preview.decision)),
  );
  return element("nav", { class: "card", "aria-label": "Documents" }, element("ol", { class: "contents" }, items));
}

function title({ kind, namespace, name }) {
  return [kind, name ? `${namespace}/${name}` : namespace].join(" ");
}

function badge(decision) {
  return element("span", { class: `badge ${decision in WORDS ? decision : ""}` }, word(decision));
}

function line(preview, index) {
  return element(
    "p",
    { class: "card quiet", id: `document-${index + 1}`, tabindex: "-1" },
    element("span", {}, title(preview)),
    badge(preview.decision),
    reason(preview),
  );
}

function reason(preview) {
  const isRedundant = preview.reason.toLowerCase() === preview.decision;
  return !isRedundant && element("code", { class: "reason" }, preview.reason);
}

function section(preview, index, names) {
  const heading = element("h3", { id: `document-${index + 1}`, tabindex: "-1" }, title(preview));
  const isPod = preview.kind === "Pod"; // then the document itself is the pod
  const pods = isPod
    ? [{ ...preview, path: null, where: "Annotations" }]
    : preview.pods.map((pod) => podOf(preview, pod));
  const { manifest, warnings } = preview;
  const whole = { manifest, warnings, where: "Annotations on the object itself", isWhole: true };
  const places = isPod ? pods : [...pods, whole];
  const annotationsByPlace = places.map((place) => annotationsOf(place.manifest, names.prefix, names.written));
  const { general, beside } = placed(remarksOf(places, annotationsByPlace), annotationsByPlace);
  return element(
    "article",
    { class: "card document", "aria-labelledby": heading.id },
    element("header", {}, heading, badge(preview.decision), reason(preview)),
    general.map(remark),
    places.map(({ where }, at) => annotations(where, annotationsByPlace[at], beside[at])),
    preview.models.length > 0 && [
      element("h4", {}, preview.models.length > 1 ? "Models" : "Model"),
      models(preview.models),
    ],
    pods.filter((pod) => pod.decision !== "refused").map(pictured),
    preview.diff && changes(preview),
    raw("JSON Patch", preview.patch),
    pods.map((pod) => raw(`Pod${named(pod)}, as it ${pod.decision === "refused" ? "is" : "will be"}`, pod.manifest)),
  );
}

/** A pod of a workload for the page. Several pods are distinguished by the paths of their templates. */
function podOf({ pods }, pod) {
  const path = pods.length > 1 ? pod.path : null;
  return { ...pod, path, where: `Annotations ${path ? `of ${path}` : "of its pods"}` };
}

function named({ path }) {
  return path ? ` of ${path}` : "";
}

/** The remarks of all places, refusals first. Warnings of the document that repeat those of its pods are left out. */
function remarksOf(places, annotationsByPlace) {
  const seen = new Set();
  const remarks = places.flatMap(({ isWhole, message, reason, warnings }, at) => {
    const fresh = isWhole ? warnings.filter((text) => !seen.has(text)) : warnings;
    warnings.forEach((text) => seen.add(text));
    const refusal = { text: message, kind: "refusal", at, about: ABOUT[reason] ?? [] };
    const warningOf = (text) => ({ text, kind: "warning", at, about: quoted(text, annotationsByPlace[at]) });
    return [message && refusal, ...fresh.map(warningOf)];
  });
  return remarks.filter(Boolean).sort((former, latter) => (latter.kind === "refusal") - (former.kind === "refusal"));
}

function remark({ text, kind }) {
  const word = kind === "refusal" ? "Refused" : "Warning";
  return element("p", { class: `remark ${kind}` }, element("b", {}, word), " ", text);
}

function annotations(where, entries, beside) {
  if (!entries.length) {
    return null;
  }
  const rows = entries.map(([name, value]) => [
    element("dt", {}, linked(name)),
    element(
      "dd",
      {},
      element("code", { class: "value" }, typeof value === "string" ? value : JSON.stringify(value)),
      (beside.get(name) ?? []).map(remark),
    ),
  ]);
  return [element("h4", {}, where), element("dl", { class: "given" }, rows)];
}

/** An annotation's name, linked to its entry in the list of annotations. */
function linked(name) {
  const id = `annotation-${name.slice(name.indexOf("/") + 1)}`;
  const code = element("code", {}, name);
  return document.getElementById(id) ? element("a", { href: `#${id}` }, code) : code;
}

function pictured(pod) {
  return [element("h4", {}, `The pod${named(pod)}`), picture(readPod(pod.manifest, pod.patch))];
}

function changes(preview) {
  const { form, box } = diffView(preview.diff, `Changes of ${title(preview)}`);
  return [element("div", { class: "between" }, element("h4", {}, "Changes"), form), box];
}

function raw(name, value) {
  const isEmpty = Array.isArray(value) && !value.length;
  return !isEmpty && folded(name, () => scrolling(name, element("pre", {}, JSON.stringify(value, null, 2))));
}
