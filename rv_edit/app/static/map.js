// The codebook as a map: each key a point, its facts told under the pointer and by the keys.

import * as api from "./api.js";
import { $, el, say, svg } from "./dom.js";
import { on, state } from "./state.js";

const LEAST = 280;
const TALLEST = 400;
const EDGE = 24;
const WAYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
let turn = 0;

/** The nearest other place in a direction: who lies aside counts as further. */
function following(places, at, [dx, dy]) {
  let best = at;
  let least = Infinity;
  places.forEach(([x, y], other) => {
    const along = (x - places[at][0]) * dx + (y - places[at][1]) * dy;
    const aside = Math.abs((x - places[at][0]) * dy) + Math.abs((y - places[at][1]) * dx);
    if (other !== at && along > 0.01 && along + 2 * aside < least) [best, least] = [other, along + 2 * aside];
  });
  return best;
}

function scaled(drawn, width, height) {
  const all = [...drawn.points.map(({ x, y }) => [x, y]), ...(drawn.asked ? [drawn.asked] : [])];
  const [low, high] = [0, 1].map((axis) => all.map((place) => place[axis]))
    .reduce(([lows, highs], values) => [[...lows, Math.min(...values)], [...highs, Math.max(...values)]], [[], []]);
  const scale = Math.min((width - 2 * EDGE) / (high[0] - low[0] || 1), (height - 2 * EDGE) / (high[1] - low[1] || 1));
  return ([x, y]) => [width / 2 + scale * (x - (low[0] + high[0]) / 2), height / 2 - scale * (y - (low[1] + high[1]) / 2)];
}

function tellAbout(place, point) {
  place.replaceChildren(...(point.facts.length ? point.facts : ["Nothing in force."]).map((fact, at) => el("p", {},
    el("span", { class: "fact" }, fact), point.edits[at] ? " " : "",
    point.edits[at] ? el("a", { href: `#edit-${point.edits[at]}` }, point.kinds[at] === "answer" ? "answer of this edit" : "fact of this edit") : "")));
}

function chart(drawn) {
  const width = Math.max(LEAST, $("chart").clientWidth);
  const height = Math.min(TALLEST, Math.round(0.6 * width));
  const to = scaled(drawn, width, height);
  const places = drawn.points.map(({ x, y }) => to([x, y]));
  const told = el("div", { id: "point", "aria-live": "polite" }, el("p", { class: "quiet" }, "Point at a key, or go there with Tab and the arrows."));
  const dots = drawn.points.map((point, at) => svg("circle", {
    cx: places[at][0].toFixed(1), cy: places[at][1].toFixed(1), r: 6, role: "option", tabindex: at ? -1 : 0, "data-at": at,
    class: point.kinds.includes("answer") ? "dot answer" : "dot", "aria-label": point.facts.join(" ") || "Nothing in force",
  }, svg("title", {}, point.facts.join("\n"))));
  const go = (at) => {
    dots.forEach((dot, other) => dot.setAttribute("tabindex", other === at ? 0 : -1));
    dots[at].focus();
  };
  const board = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "listbox", "aria-label": "Keys of the codebook on a plane" }, dots);
  for (const name of ["pointerover", "focusin"]) {
    board.addEventListener(name, (event) => {
      const at = event.target.dataset?.at;
      if (at === undefined) return;
      dots.forEach((dot, other) => dot.setAttribute("aria-selected", String(other === Number(at))));
      tellAbout(told, drawn.points[at]);
    });
  }
  board.addEventListener("keydown", (event) => {
    const at = event.target.dataset?.at;
    if (at === undefined) return;
    const next = { Home: 0, End: dots.length - 1 }[event.key] ?? (event.key in WAYS ? following(places, Number(at), WAYS[event.key]) : null);
    if (event.key === "Enter" && drawn.points[at].edits.length) location.hash = `edit-${drawn.points[at].edits[0]}`;
    if (next === null) return;
    event.preventDefault();
    go(next);
  });
  if (drawn.asked) {
    const [x, y] = to(drawn.asked);
    board.prepend(svg("path", { class: "asked-here", d: `M${x - 12} ${y}h24M${x} ${y - 12}v24` }, svg("title", {}, "The question asked last")));
  }
  const percent = drawn.shares.reduce((one, other) => one + other, 0) * 100;
  return [board, told, el("p", { class: "quiet" },
    el("span", { class: "key-answer" }, "●"), " answers, ", el("span", { class: "key-fact" }, "●"), " facts",
    drawn.asked ? ", + the question asked last" : "",
    percent ? `. The two axes hold ${percent.toFixed(0)} % of what sets the keys apart, so what is near here may still be far.` : ".",
    drawn.left_out ? ` ${drawn.left_out} older keys are not shown.` : "")];
}

/** Draw it anew, with the question of the form where it was asked. */
export async function list() {
  const now = ++turn;
  const asked = !$("answered").hidden && state.image !== null;
  const drawn = await api.keys(asked ? state.image : null, asked ? $("question").value.trim() : null);
  if (now !== turn) return;
  const held = $("chart").contains(document.activeElement) ? document.activeElement.dataset?.at : undefined;
  $("chart").replaceChildren(...(drawn.points.length ? chart(drawn)
    : [el("p", { class: "quiet" }, "Empty: every edit puts keys here, one for its answer and some for each fact.")]));
  if (held !== undefined) $("chart").querySelector(`[data-at="${held}"]`)?.focus();
}

export function start() {
  for (const what of ["edits", "asked", "undone"]) on(what, () => list().catch((error) => say(error.message)));
}
