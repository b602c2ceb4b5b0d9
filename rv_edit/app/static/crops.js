// Rectangles on the picture, each for a fact: drawn with the pointer, or with the keys.

import { $, el } from "./dom.js";
import { keep, state, tell } from "./state.js";

const COLOURS = 6;
const SMALLEST = 3; // pixels; less is a click, not a rectangle
let active = null; // the fact that is drawn for

export const colour = (fact) => `fact-${fact % COLOURS}`;
const limit = (value, most) => Math.min(Math.max(value, 0), most);

function changed() {
  draw();
  keep();
  tell("facts");
}

/** The rectangles as they are. */
export function draw() {
  const [width, height] = state.size;
  const corners = new Map(); // labels of rectangles that begin at one place stand beside each other
  const shown = state.crops.flatMap((crop, fact) => crop.boxes.map((box, at) => {
    const own = fact === active;
    const [left, top, right, bottom] = box.map(Math.round);
    const node = el("div", {
      class: `crop ${colour(fact)} ${crop.source === "found" ? "found" : ""} ${own ? "own" : ""}`,
      tabindex: own ? 0 : undefined, role: "img", "data-fact": fact, "data-at": at,
      "aria-label": `Part ${at + 1} for fact ${fact + 1}: from ${left}, ${top} to ${right}, ${bottom} of ${width} by ${height} pixels`,
    }, el("span", { "aria-hidden": "true" }, String(fact + 1)));
    const corner = `${Math.round((20 * box[0]) / width)} ${Math.round((20 * box[1]) / height)}`;
    node.firstChild.style.left = `${1.25 * (corners.get(corner) || 0)}rem`;
    corners.set(corner, (corners.get(corner) || 0) + 1);
    node.style.left = `${(100 * box[0]) / width}%`;
    node.style.top = `${(100 * box[1]) / height}%`;
    node.style.width = `${(100 * (box[2] - box[0])) / width}%`;
    node.style.height = `${(100 * (box[3] - box[1])) / height}%`;
    return node;
  }));
  $("overlay").replaceChildren(...shown);
  $("overlay").classList.toggle("open", active !== null);
}

/** Draw for a fact, or for none. */
export function drawFor(fact) {
  active = fact;
  $("drawing").hidden = fact === null;
  $("overlay").tabIndex = fact === null ? -1 : 0;
  if (fact !== null) {
    $("drawing-for").textContent = `What shows fact ${fact + 1}: “${state.crops[fact].fact}”`;
    $("overlay").setAttribute("aria-label", `Draw what shows fact ${fact + 1}`);
    $("overlay").setAttribute("role", "application");
    $("stage").scrollIntoView({ block: "nearest" });
    $("overlay").focus({ preventScroll: true });
  }
  draw();
  tell("facts");
}

export const drawnFor = () => active;

function mine() {
  const crop = state.crops[active];
  if (crop.source !== "drawn") Object.assign(crop, { boxes: crop.source === "found" ? crop.boxes : [], source: "drawn" });
  return crop;
}

function place(event) {
  const area = $("overlay").getBoundingClientRect();
  return [limit(((event.clientX - area.left) / area.width) * state.size[0], state.size[0]),
    limit(((event.clientY - area.top) / area.height) * state.size[1], state.size[1])];
}

function pointer(event) {
  if (active === null || event.button !== 0) return;
  event.preventDefault();
  const overlay = $("overlay");
  overlay.setPointerCapture(event.pointerId);
  const [x, y] = place(event);
  const crop = mine();
  const held = event.target.closest(".own");
  const was = held ? [...crop.boxes[Number(held.dataset.at)]] : [x, y, x, y];
  const at = held ? Number(held.dataset.at) : crop.boxes.push(was) - 1;
  const move = (next) => {
    const [u, v] = place(next);
    crop.boxes[at] = held ? shifted(was, u - x, v - y) : [Math.min(x, u), Math.min(y, v), Math.max(x, u), Math.max(y, v)];
    draw();
  };
  const done = () => {
    overlay.removeEventListener("pointermove", move);
    const [left, top, right, bottom] = crop.boxes[at];
    if (right - left < SMALLEST || bottom - top < SMALLEST) crop.boxes.splice(at, 1);
    if (!crop.boxes.length) crop.source = null;
    changed();
  };
  overlay.addEventListener("pointermove", move);
  overlay.addEventListener("pointerup", done, { once: true });
  overlay.addEventListener("lostpointercapture", () => overlay.removeEventListener("pointermove", move), { once: true });
}

function shifted([left, top, right, bottom], dx, dy) {
  const x = Math.min(Math.max(dx, -left), state.size[0] - right);
  const y = Math.min(Math.max(dy, -top), state.size[1] - bottom);
  return [left + x, top + y, right + x, bottom + y];
}

function resized([left, top, right, bottom], dx, dy) {
  return [left, top, limit(Math.max(right + dx, left + SMALLEST), state.size[0]),
    limit(Math.max(bottom + dy, top + SMALLEST), state.size[1])];
}

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

function keyed(event) {
  if (active === null) return;
  const [width, height] = state.size;
  const held = event.target.closest(".own");
  let at = held ? Number(held.dataset.at) : -1;
  if (event.key === "Escape") return finish();
  if (event.key === "n" || (event.key === "Enter" && !held)) {
    at = mine().boxes.push([width / 3, height / 3, (2 * width) / 3, (2 * height) / 3]) - 1;
  } else if (held && event.key in ARROWS) {
    const [dx, dy] = ARROWS[event.key].map((way, axis) => (way * state.size[axis]) / 36);
    const boxes = mine().boxes;
    boxes[at] = (event.shiftKey ? resized : shifted)(boxes[at], dx, dy);
  } else if (held && (event.key === "Delete" || event.key === "Backspace")) {
    const crop = mine();
    crop.boxes.splice(at, 1);
    if (!crop.boxes.length) crop.source = null;
    at = -1;
  } else return;
  event.preventDefault();
  changed();
  ($("overlay").querySelector(`.own[data-at="${at}"]`) || $("overlay")).focus({ preventScroll: true });
}

/** Stop drawing, and go back to where it was begun. */
function finish() {
  const fact = active;
  drawFor(null);
  const button = $("crops").querySelector(`[data-draw="${fact}"]`);
  if (button) button.focus();
}

export function start() {
  $("overlay").addEventListener("pointerdown", pointer);
  $("overlay").addEventListener("keydown", keyed);
  $("drawn").addEventListener("click", finish);
}
