/**
 * Creates elements. Text becomes text nodes and attribute values, never HTML, so that a manifest cannot inject markup.
 */

const SVG = "http://www.w3.org/2000/svg";

/** Creates an HTML element. Attributes and children that are false, null or undefined are left out. */
export function element(name, attributes = {}, ...children) {
  return filled(document.createElement(name), attributes, children);
}

/** Creates an SVG element, with the same rules as `element`. */
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

/** Creates a box with its own scroll bars, which the keyboard can focus and scroll. */
export function scrolling(label, ...children) {
  return element("div", { class: "scrolling", role: "group", "aria-label": label, tabindex: "0" }, ...children);
}

/** Creates a `details` element. Calls `content` when it is first opened, because long content is rarely opened. */
export function folded(summary, content) {
  const details = element("details", {}, element("summary", {}, summary));
  details.addEventListener("toggle", () => details.append(content()), { once: true });
  return details;
}
