/** Renders a unified diff as a table, unified or side by side. */

import { element, scrolling } from "./elements.js";

const HUNK = /^@@ -(\d+)(?:,\d+)? \+(\d+)(?:,\d+)? @@/;
const NAMES = { "+": "added", "-": "removed", " ": "kept" };

let isSplit = false;
let count = 0;

/** Returns {form, box}: the switch between the two views, and the diff. Later diffs start in the view chosen last. */
export function diffView(text, label) {
  const hunks = read(text);
  const box = scrolling(label, table(hunks));
  const name = `diff-${(count += 1)}`;
  const choose = (split) => {
    isSplit = split;
    box.replaceChildren(table(hunks));
  };
  const form = element(
    "fieldset",
    { class: "switch" },
    element("legend", { class: "hidden" }, "View of the diff"),
    choice(name, "Unified", !isSplit, () => choose(false)),
    choice(name, "Side by side", isSplit, () => choose(true)),
  );
  return { form, box };
}

function choice(name, text, isChosen, choose) {
  const input = element("input", { type: "radio", name, checked: isChosen });
  input.addEventListener("change", choose);
  return element("label", {}, input, element("span", {}, text));
}

/** Parses a unified diff. A hunk is a list of {sign, text, before, after}, the latter two line numbers or null. */
export function read(text) {
  const hunks = [];
  let before = 0;
  let after = 0;
  for (const line of text.split("\n")) {
    const header = HUNK.exec(line);
    if (header) {
      [before, after] = [Number(header[1]), Number(header[2])];
      hunks.push([]);
    } else if (hunks.length && line[0] in NAMES) {
      const sign = line[0];
      hunks.at(-1).push({
        sign,
        text: line.slice(1),
        before: sign === "+" ? null : before++,
        after: sign === "-" ? null : after++,
      });
    }
  }
  return hunks;
}

function table(hunks) {
  const [names, columns, rows] = isSplit
    ? [["Line before", "Change", "Before", "Line after", "Change", "After"], 6, pairs]
    : [["Line before", "Line after", "Change", "Text"], 4, lines];
  const heads = names.map((name) => element("th", { scope: "col" }, element("span", { class: "hidden" }, name)));
  const gap = () => element("tr", { class: "gap" }, element("td", { colspan: columns }, "⋯"));
  const bodies = hunks.map((hunk, index) => element("tbody", {}, index > 0 && gap(), rows(hunk)));
  const kind = isSplit ? "diff split" : "diff";
  return element("table", { class: kind }, element("thead", {}, element("tr", {}, heads)), bodies);
}

function lines(hunk) {
  return hunk.map((line) =>
    element("tr", {}, number(line, line.before), number(line, line.after), sign(line), content(line)),
  );
}

/** The rows of the side-by-side view: removed lines next to the added lines that follow them. */
function pairs(hunk) {
  const rows = [];
  let removed = [];
  let added = [];
  const flush = () => {
    for (let index = 0; index < Math.max(removed.length, added.length); index += 1) {
      rows.push([removed[index], added[index]]);
    }
    [removed, added] = [[], []];
  };
  for (const line of hunk) {
    if (line.sign === " ") {
      flush();
      rows.push([line, line]);
    } else {
      (line.sign === "-" ? removed : added).push(line);
    }
  }
  flush();
  return rows.map(([left, right]) => element("tr", {}, half(left, "before"), half(right, "after")));
}

function half(line, side) {
  return line ? [number(line, line[side]), sign(line), content(line)] : element("td", { class: "none", colspan: 3 });
}

function number(line, value) {
  return element("td", { class: `number ${NAMES[line.sign]}` }, value === null ? "" : String(value));
}

function sign(line) {
  return element("td", { class: `sign ${NAMES[line.sign]}` }, { "+": "+", "-": "−", " ": "" }[line.sign]);
}

function content(line) {
  return element("td", { class: `text ${NAMES[line.sign]}` }, line.text);
}
