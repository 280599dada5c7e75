/**
 * Draws a pod as SVG in three lanes: init containers in their order, volumes, and containers. Lines show the mounts.
 * The volumes are in the middle lane, so that no line crosses a box.
 */

import { drawn, element, scrolling } from "./elements.js";

const WIDTH = 220; // of a box; all lengths are in CSS pixels
const GAP = 28;
const EDGE = 2; // room for the strokes of the outermost boxes
const LABEL = 22;
const LANE = 38; // between lanes, room for the lines
const TOP = 50; // of a box, height of its name and its image or kind
const MOUNT = 36; // height of a mount in a box
const TITLE = 60; // width of the upper edge of a box that a lane's title may cover
const TAGS = 56; // width of the upper edge of a box that its tags may cover
const CHARACTER = 7.3; // maximum width of a character in the font of names
const SMALL_CHARACTER = 6.7; // maximum width of a character in the smaller font

/** Maximum number of boxes and mounts in a picture. More would be unreadable and slow to draw. */
const MOST = 200;

/** Returns the picture of a pod from `readPod`, and its description as text. */
export function picture(pod) {
  const { init, volumes, containers } = pod;
  const counts = `init containers: ${init.length}, volumes: ${volumes.length}, containers: ${containers.length}`;
  const label = `Picture of the pod; ${counts}. A description as text follows.`;
  const caption = element(
    "figcaption",
    {},
    element("span", {}, "Pod ", element("b", {}, pod.name)),
    pod.account && element("span", {}, "runs as ", element("b", {}, pod.account)),
  );
  return [
    element("figure", { class: "pod" }, caption, isLarge(pod) ? large() : pictured(pod, label)),
    element("details", {}, element("summary", {}, "Description as text"), described(pod)),
  ];
}

function isLarge({ init, volumes, containers }) {
  const all = [...init, ...containers];
  return all.length + volumes.length + all.reduce((sum, container) => sum + container.mounts.length, 0) > MOST;
}

function large() {
  return element("p", { class: "told" }, "The pod has too many parts for a picture; see the description below.");
}

function pictured(pod, label) {
  return scrolling("Picture of the pod", drawing(pod, label));
}

function drawing(pod, label) {
  const init = pod.init.map((container, index) => containerBox(container, index + 1));
  const lanes = [
    { title: "Init containers, in sequence", boxes: init },
    { title: "Volumes", boxes: byFirstUse(pod).map(volumeBox) },
    { title: "Containers", boxes: pod.containers.map((container) => containerBox(container, null)) },
  ].filter((lane) => lane.boxes.length);
  const width = Math.max(WIDTH, ...lanes.map((lane) => lane.boxes.length * (WIDTH + GAP) - GAP)) + 2 * EDGE;
  const height = laid(lanes);
  const boxes = lanes.flatMap((lane) => lane.boxes);
  return drawn(
    "svg",
    { role: "img", "aria-label": label, width, height, viewBox: `0 0 ${width} ${height}` },
    boxes.map(boxed),
    sequence(boxes.filter((box) => box.number)),
    lines(boxes),
    lanes.map((lane) => drawn("text", { class: "lane", x: EDGE, y: lane.top + 10 }, lane.title)),
    boxes.map(tagged),
  );
}

/** Sets the position of each lane and box. Returns the height of the picture. */
function laid(lanes) {
  let top = EDGE;
  for (const lane of lanes) {
    lane.top = top;
    lane.boxes.forEach((box, index) => Object.assign(box, { x: EDGE + index * (WIDTH + GAP), y: top + LABEL }));
    top += LABEL + Math.max(...lane.boxes.map((box) => box.height)) + LANE;
  }
  return Math.max(top - LANE + EDGE, 0);
}

/** The volumes in the order of their first mounts, so that few lines cross. */
function byFirstUse({ init, containers, volumes }) {
  const names = [...init, ...containers].flatMap((container) => container.mounts.map((mount) => mount.volume));
  const position = ({ name }) => (names.includes(name) ? names.indexOf(name) : names.length);
  return [...volumes].sort((former, latter) => position(former) - position(latter));
}

function containerBox(container, number) {
  const { image, mounts, isAdded, isSidecar } = container;
  const tags = [isAdded && "added", isSidecar && "sidecar"].filter(Boolean);
  const height = TOP + mounts.length * MOUNT + (mounts.length ? 3 : 0);
  return { ...container, number, tags, sub: tail(image), full: image, height };
}

function volumeBox(volume) {
  const { kind, isAdded } = volume;
  return { ...volume, tags: isAdded ? ["added"] : [], sub: kind, full: kind, height: TOP };
}

/** The name and the tag of an image, without its registry and path. */
function tail(image) {
  return image.slice(image.lastIndexOf("/") + 1);
}

function boxed(box) {
  const kind = ["box", box.isAdded && "added", box.isSidecar && "sidecar"].filter(Boolean).join(" ");
  const left = box.number ? 38 : 14;
  const room = WIDTH - left - 10;
  return drawn(
    "g",
    { class: kind, transform: `translate(${box.x} ${box.y})` },
    drawn("rect", { class: "body", width: WIDTH, height: box.height, rx: box.mounts ? 8 : 14 }),
    box.number && [
      drawn("circle", { class: "number", cx: 21, cy: 25, r: 10 }),
      drawn("text", { class: "number", x: 21, y: 29 }, String(box.number)),
    ],
    named("name", box.name, box.name, left, 22, room),
    named("small", box.sub, box.full, left, 39, room),
    (box.mounts ?? []).map((mount, index) => mounted(mount, TOP + index * MOUNT)),
  );
}

function mounted(mount, y) {
  const room = WIDTH - 24;
  const characters = Math.floor(room / CHARACTER);
  const words = `${mount.volume}${mount.isReadOnly ? ", read-only" : ""}`;
  const isLong = mount.path.length > characters;
  const path = isLong ? `…${mount.path.slice(1 - characters)}` : mount.path; // the end says most
  return [
    drawn("line", { class: "rule", x1: 0, x2: WIDTH, y1: y, y2: y }),
    drawn("text", { class: "path", x: 14, y: y + 15 }, drawn("title", {}, mount.path), path),
    named("small", words, words, 14, y + 29, room),
  ];
}

/** The tags on the upper edge of a box. */
function tagged(box) {
  let end = box.x + WIDTH - 8;
  return box.tags.map((tag) => {
    const width = tag.length * 5.8 + 14;
    end -= width + 4;
    return drawn(
      "g",
      { class: tag === "added" ? "tag added" : "tag", transform: `translate(${end} ${box.y - 9})` },
      drawn("rect", { width, height: 18, rx: 9 }),
      drawn("text", { x: width / 2, y: 13 }, tag),
    );
  });
}

/** A text, truncated to the width `room`. Its tooltip has the full text. */
function named(kind, text, full, x, y, room) {
  const characters = Math.floor(room / (kind === "small" ? SMALL_CHARACTER : CHARACTER));
  const shown = text.length > characters ? `${text.slice(0, characters - 1)}…` : text;
  return drawn("text", { class: kind, x, y }, drawn("title", {}, full), shown);
}

/** Arrows from each init container to the next one. */
function sequence(boxes) {
  return boxes.slice(1).map((box) => {
    const [end, y] = [box.x - 3, box.y + 25];
    return drawn("path", { class: "then", d: `M${box.x - GAP + 3} ${y}H${end}m-5 -4 5 4-5 4` });
  });
}

/** The lines from each container to its volumes. Init containers are above the volumes, other containers below. */
function lines(boxes) {
  const volumes = new Map(boxes.filter((box) => !box.mounts).map((box) => [box.name, box]));
  const links = boxes.flatMap((box) => {
    const names = new Set((box.mounts ?? []).map((mount) => mount.volume));
    return [...names].map((name) => ({ box, volume: volumes.get(name) }));
  });
  const above = links.filter(({ box }) => box.number);
  const below = links.filter(({ box }) => !box.number);
  const spread = (lane, own, other) => {
    for (const link of lane) {
      const siblings = lane
        .filter((sibling) => sibling[own] === link[own])
        .sort((former, latter) => former[other].x - latter[other].x);
      const [from, room] = siblings.length > 1 ? [TITLE, WIDTH - TITLE - TAGS] : [0, WIDTH];
      link[`${own}X`] = link[own].x + from + (room * (siblings.indexOf(link) + 1)) / (siblings.length + 1);
    }
  };
  for (const lane of [above, below]) {
    spread(lane, "box", "volume");
    spread(lane, "volume", "box");
  }
  return links.map((link) => line(link, Boolean(link.box.number)));
}

function line({ box, volume, boxX, volumeX }, isAbove) {
  const isFlow = volume.isAdded && (box.isAdded || !isAbove);
  const [x1, y1] = isAbove ? [boxX, box.y + box.height] : [volumeX, volume.y + volume.height];
  const [x2, y2] = isAbove ? [volumeX, volume.y] : [boxX, box.y];
  const end = isFlow ? y2 - 3 : y2;
  const middle = (y1 + end) / 2;
  const head = isFlow ? `m-5 -6 5 6 5-6` : "";
  return drawn(
    "g",
    { class: isFlow ? "link flow" : "link" },
    drawn("path", { d: `M${x1} ${y1}C${x1} ${middle} ${x2} ${middle} ${x2} ${end}${head}` }),
    drawn("circle", { cx: x1, cy: y1, r: 3 }),
    !isFlow && drawn("circle", { cx: x2, cy: y2, r: 3 }),
  );
}

function described(pod) {
  const parts = [
    ["Init containers, in this order", "ol", pod.init],
    ["Containers", "ul", pod.containers],
    ["Volumes", "ul", pod.volumes],
  ];
  return element(
    "div",
    { class: "told" },
    parts
      .filter(([, , items]) => items.length)
      .map(([title, kind, items]) => [element("p", {}, `${title}:`), element(kind, {}, items.map(item))]),
  );
}

function item(part) {
  const remarks = [part.isAdded && "added", part.isSidecar && "a sidecar that keeps running", part.kind, part.image];
  const words = remarks.filter(Boolean).join(", ");
  const mounts = (part.mounts ?? []).map((mount) => {
    const source = ` from the volume ${mount.volume}${mount.isReadOnly ? ", read-only" : ""}`;
    return element("li", {}, element("code", {}, mount.path), source);
  });
  const list = mounts.length > 0 && element("ul", {}, mounts);
  return element("li", {}, element("code", {}, part.name), words && `: ${words}`, list);
}
