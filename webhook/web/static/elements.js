/**
 * Elements. Texts of a manifest go in as text nodes and as values of attributes that are named here, so that none of
 * them can become markup.
 */

const SVG = "http://www.w3.org/2000/svg";

/** An HTML element. Attributes that are false, null or undefined are left out, and so are such children. */
export function element(name, attributes = {}, ...children) {
  return filled(document.createElement(name), attributes, children);
}

/** An SVG element, likewise. */
export function drawn(name, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, name), attributes, children);
}

function filled(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== false && value !== null && value !== undefined) {
      node.setAttribute(name, value === true ? "" : value);
    }
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/** A box that scrolls by itself, also with the keyboard. */
export function scrolling(label, ...children) {
  return element("div", { class: "scrolling", role: "group", "aria-label": label, tabindex: "0" }, ...children);
}

/** A `details` whose content is made when it is opened: it may be long, and most are never looked at. */
export function folded(summary, content) {
  const details = element("details", {}, element("summary", {}, summary));
  details.addEventListener("toggle", () => details.append(content()), { once: true });
  return details;
}
