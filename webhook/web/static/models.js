/** Renders the models of a document as a table. */

import { element, scrolling } from "./elements.js";

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

/** The table of `records`, the `models` of a preview. */
export function models(records) {
  const heads = ["Model", "Version", "Size", "Files", "From"].map((name) => element("th", { scope: "col" }, name));
  const rows = records.map((record) =>
    element(
      "tr",
      {},
      element("th", { scope: "row" }, record.model),
      element("td", {}, version(record)),
      element("td", { class: "amount" }, size(record.bytes)),
      element("td", { class: "amount" }, record.files === null ? "unknown" : String(record.files)),
      element("td", {}, element("code", {}, record.uri), record.digest && digest(record.digest)),
    ),
  );
  const head = element("thead", {}, element("tr", {}, heads));
  return scrolling("Models", element("table", { class: "models" }, head, element("tbody", {}, rows)));
}

function version({ asked, version: exact }) {
  return asked === exact ? exact : [element("span", { class: "asked" }, asked), " → ", exact];
}

function size(bytes) {
  if (bytes === null) {
    return "unknown";
  }
  const exact = `${bytes.toLocaleString("en")} bytes`;
  return element("span", { title: exact }, human(bytes), element("span", { class: "hidden" }, `, ${exact}`));
}

/** Formats bytes in the largest unit in which the amount is at least 1. Amounts below 100 have one decimal. */
export function human(bytes) {
  const power = Math.min(Math.max(Math.floor(Math.log2(Math.max(bytes, 1)) / 10), 0), UNITS.length - 1);
  const amount = bytes / 1024 ** power;
  return `${power && amount < 100 ? amount.toFixed(1) : Math.round(amount)} ${UNITS[power]}`;
}

function digest(text) {
  return element("span", { class: "digest", title: text }, `digest ${text.slice(0, 12)}…`);
}
