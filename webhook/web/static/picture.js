/**
 * A picture of a pod: its init containers in their order, what they leave in the volumes, and the containers that find
 * it there. The volumes stand in between, so that lines cross no boxes.
 */

import { drawn, element, scrolling } from "./elements.js";

const WIDTH = 220; // of a box, in the units of CSS pixels, as everything here
const GAP = 28;
const EDGE = 2; // for the strokes of the outermost boxes
const LABEL = 22;
const LANE = 38; // between lanes, for the lines
const TOP = 50; // of a box: name and image, or kind
const MOUNT = 36;
const TITLE = 60; // of the upper edge of a lane's first box, below the lane's title
const TAGS = 56; // of the upper edge of a box, for its tags
const SIGN = 7.3; // the width of a sign, at most, of the font that names have
const SMALL_SIGN = 6.7; // and of the smaller one

/** Boxes and mounts in a picture, at most: more are no help to anyone, and take a browser long. */
const MOST = 200;

/** The picture, and the same as text. */
export function picture(pod) {
  const { init, volumes, containers } = pod;
  const counts = `init containers: ${init.length}, volumes: ${volumes.length}, containers: ${containers.length}`;
  const label = `Picture of the pod; ${counts}. The same stands below as text.`;
  const caption = element(
    "figcaption",
    {},
    element("span", {}, "Pod ", element("b", {}, pod.name)),
    pod.account && element("span", {}, "runs as ", element("b", {}, pod.account)),
  );
  return [
    element("figure", { class: "pod" }, caption, isLarge(pod) ? large() : pictured(pod, label)),
    element("details", {}, element("summary", {}, "The same as text"), described(pod)),
  ];
}

function isLarge({ init, volumes, containers }) {
  const all = [...init, ...containers];
  return all.length + volumes.length + all.reduce((sum, one) => sum + one.mounts.length, 0) > MOST;
}

function large() {
  return element("p", { class: "told" }, "Too many parts for a picture; they stand below as text.");
}

function pictured(pod, label) {
  return scrolling("Picture of the pod", drawing(pod, label));
}

function drawing(pod, label) {
  const init = pod.init.map((one, index) => containerBox(one, index + 1));
  const lanes = [
    { title: "Init containers, one after the other", boxes: init },
    { title: "Volumes", boxes: byFirstUse(pod).map(volumeBox) },
    { title: "Containers", boxes: pod.containers.map((one) => containerBox(one, null)) },
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

/** Gives each lane and box its place; comes to the height of it all. */
function laid(lanes) {
  let top = EDGE;
  for (const lane of lanes) {
    lane.top = top;
    lane.boxes.forEach((box, index) => Object.assign(box, { x: EDGE + index * (WIDTH + GAP), y: top + LABEL }));
    top += LABEL + Math.max(...lane.boxes.map((box) => box.height)) + LANE;
  }
  return Math.max(top - LANE + EDGE, 0);
}

/** The volumes in the order in which they are first mounted, so that few lines cross. */
function byFirstUse({ init, containers, volumes }) {
  const names = [...init, ...containers].flatMap((one) => one.mounts.map((mount) => mount.volume));
  const place = ({ name }) => (names.includes(name) ? names.indexOf(name) : names.length);
  return [...volumes].sort((one, other) => place(one) - place(other));
}

function containerBox(one, number) {
  const tags = [one.isAdded && "added", one.isSidecar && "sidecar, stays"].filter(Boolean);
  const height = TOP + one.mounts.length * MOUNT + (one.mounts.length ? 3 : 0);
  return { ...one, number, tags, sub: tail(one.image), full: one.image, height };
}

function volumeBox(one) {
  return { ...one, tags: one.isAdded ? ["added"] : [], sub: one.kind, full: one.kind, height: TOP };
}

/** Of an image, what differs from others: its name and tag, without the registry. */
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
  const signs = Math.floor(room / SIGN);
  const words = `${mount.volume}${mount.isReadOnly ? ", read-only" : ""}`;
  const path = mount.path.length > signs ? `…${mount.path.slice(1 - signs)}` : mount.path; // its end says most
  return [
    drawn("line", { class: "rule", x1: 0, x2: WIDTH, y1: y, y2: y }),
    drawn("text", { class: "path", x: 14, y: y + 15 }, drawn("title", {}, mount.path), path),
    named("small", words, words, 14, y + 29, room),
  ];
}

/** Words on the upper edge of a box. */
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

/** A text of a class, cut to a width; whole where a pointer rests on it. */
function named(kind, text, full, x, y, room) {
  const signs = Math.floor(room / (kind === "small" ? SMALL_SIGN : SIGN));
  const shown = text.length > signs ? `${text.slice(0, signs - 1)}…` : text;
  return drawn("text", { class: kind, x, y }, drawn("title", {}, full), shown);
}

/** Arrows from each init container to the next one. */
function sequence(boxes) {
  return boxes.slice(1).map((box) => {
    const [end, y] = [box.x - 3, box.y + 25];
    return drawn("path", { class: "then", d: `M${box.x - GAP + 3} ${y}H${end}m-5 -4 5 4-5 4` });
  });
}

/** From each container to the volumes that it mounts: init containers above them, the others below. */
function lines(boxes) {
  const volumes = new Map(boxes.filter((box) => !box.mounts).map((box) => [box.name, box]));
  const links = boxes.flatMap((box) => {
    const names = new Set((box.mounts ?? []).map((mount) => mount.volume));
    return [...names].map((name) => ({ box, volume: volumes.get(name) }));
  });
  const above = links.filter(({ box }) => box.number);
  const below = links.filter(({ box }) => !box.number);
  const place = (all, own, other) => {
    for (const link of all) {
      const siblings = all.filter((each) => each[own] === link[own]).sort((one, two) => one[other].x - two[other].x);
      const [from, room] = siblings.length > 1 ? [TITLE, WIDTH - TITLE - TAGS] : [0, WIDTH];
      link[`${own}X`] = link[own].x + from + (room * (siblings.indexOf(link) + 1)) / (siblings.length + 1);
    }
  };
  for (const all of [above, below]) {
    place(all, "box", "volume");
    place(all, "volume", "box");
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

function item(one) {
  const remarks = [one.isAdded && "added", one.isSidecar && "a sidecar that goes on running", one.kind, one.image];
  const words = remarks.filter(Boolean).join(", ");
  const mounts = (one.mounts ?? []).map((mount) => {
    const source = ` from the volume ${mount.volume}${mount.isReadOnly ? ", read-only" : ""}`;
    return element("li", {}, element("code", {}, mount.path), source);
  });
  const list = mounts.length > 0 && element("ul", {}, mounts);
  return element("li", {}, element("code", {}, one.name), words && `: ${words}`, list);
}
