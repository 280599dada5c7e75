/** What a preview has come to: a section for each document. */

import { diffView } from "./diff.js";
import { element, folded, scrolling } from "./elements.js";
import { models } from "./models.js";
import { picture } from "./picture.js";
import { readPod } from "./pod.js";
import { annotationsOf, placed } from "./remarks.js";

const WORDS = {
  injected: "Injected",
  pinned: "Pinned",
  unchanged: "Unchanged",
  skipped: "Left alone",
  refused: "Refused",
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
  const pods = each.pods.length || each.kind !== "Pod" ? each.pods : [{ ...each, path: "" }];
  const whole = { path: null, manifest: each.manifest };
  const places = (pods[0]?.path === "" && each.kind === "Pod" ? pods : [whole, ...pods]).map((place) => ({
    ...place,
    annotations: annotationsOf(place.manifest, names.prefix, names.written),
  }));
  const { general, beside } = placed(remarksOf(each, places), places.map((place) => place.annotations));
  return element(
    "article",
    { class: "card document", "aria-labelledby": heading.id },
    element("header", {}, heading, badge(each.decision), reason(each)),
    general.map(remark),
    places.map((place, at) => annotations(place, beside[at], places.length > 2)),
    each.models.length > 0 && [element("h4", {}, each.models.length > 1 ? "Models" : "Model"), models(each.models)],
    each.decision !== "refused" && pods.map((pod) => pictured(pod, pods.length > 1)),
    each.diff && changes(each, index),
    raw("JSON Patch", each.patch),
    pods.map((pod) => raw(podTitle(pod, pods.length > 1), pod.manifest)),
  );
}

/** Each remark once, refusals first, at the place that it comes from: what is said of pods the document says as well. */
function remarksOf(each, places) {
  const remarks = new Map();
  const add = (text, kind, at) => text && !remarks.has(text) && remarks.set(text, { text, kind, at });
  places.forEach(({ path, message, warnings }, at) => {
    if (path !== null) {
      add(message, "refusal", at);
      warnings.forEach((text) => add(text, "warning", at));
    }
  });
  each.warnings.forEach((text) => add(text, "warning", 0));
  return [...remarks.values()].sort((one, other) => (other.kind === "refusal") - (one.kind === "refusal"));
}

function remark({ text, kind }) {
  const word = kind === "refusal" ? "Refused" : "Warning";
  return element("p", { class: `remark ${kind}` }, element("b", {}, word), " ", text);
}

function annotations(place, beside, isNamed) {
  if (!place.annotations.length) {
    return null;
  }
  const where = place.path === null ? "on the object itself" : isNamed ? `of ${place.path}` : "of its pods";
  const rows = place.annotations.map(([name, value]) => [
    element("dt", {}, helped(name)),
    element(
      "dd",
      {},
      element("code", { class: "value" }, typeof value === "string" ? value : JSON.stringify(value)),
      (beside.get(name) ?? []).map(remark),
    ),
  ]);
  return [element("h4", {}, `Annotations ${where}`), element("dl", { class: "given" }, rows)];
}

/** An annotation's name, with a link to what the list tells of it. */
function helped(name) {
  const id = `annotation-${name.slice(name.indexOf("/") + 1)}`;
  const code = element("code", {}, name);
  return document.getElementById(id) ? element("a", { href: `#${id}` }, code) : code;
}

function podTitle({ path, decision }, isNamed) {
  return `Pod${isNamed ? ` of ${path}` : ""}, as it ${decision === "refused" ? "is" : "will be"}`;
}

function pictured(pod, isNamed) {
  return [element("h4", {}, isNamed ? `The pod of ${pod.path}` : "The pod"), picture(readPod(pod.manifest, pod.patch))];
}

function changes(each, index) {
  const { form, box } = diffView(each.diff, `Changes of ${title(each)}`);
  const heading = element("h4", { id: `changes-${index + 1}` }, "Changes");
  return [element("div", { class: "between" }, heading, form), box];
}

function raw(name, value) {
  const isEmpty = Array.isArray(value) && !value.length;
  return !isEmpty && folded(name, () => scrolling(name, element("pre", {}, JSON.stringify(value, null, 2))));
}
