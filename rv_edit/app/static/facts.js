// The facts of a correction, each with what shows it: drawn, or found by the model and looked at by the person.

import * as api from "./api.js";
import { colour, draw, drawFor, drawnFor } from "./crops.js";
import { $, during, el, lines } from "./dom.js";
import { keep, on, state, tell } from "./state.js";
import { thumb } from "./thumbs.js";

const fresh = (fact) => ({ fact, boxes: [], source: null, sure: [] });

/** Bring the list in line with the text: what was drawn stays with its line, what was found with its words. */
export function reread() {
  const facts = lines($("facts").value);
  const old = state.crops;
  const same = old.length === facts.length;
  state.crops = facts.map((fact, at) => {
    const kept = old[at]?.fact === fact ? old[at] : old.find((crop) => crop.fact === fact);
    if (kept) return { ...kept };
    return same && old[at].source === "drawn" ? { ...old[at], fact } : fresh(fact);
  });
  if (drawnFor() !== null && drawnFor() >= facts.length) drawFor(null);
  draw();
  list();
}

/** Take over facts together with their crops. */
export function fillIn(facts, evidence = {}) {
  $("facts").value = facts.join("\n");
  drawFor(null);
  state.crops = facts.map((fact, at) => (evidence[at]?.length
    ? { fact, boxes: evidence[at].map((box) => [...box]), source: "drawn", sure: [] } : fresh(fact)));
  draw();
  list();
}

export const missing = () => state.crops.flatMap((crop, at) => (crop.source === null ? [at] : []));

/** Let the model look for what shows the facts `places`. */
export async function find(places) {
  const image = state.image;
  const asked = places.map((at) => state.crops[at].fact);
  const found = (await api.evidence(image, asked)).facts;
  if (image !== state.image) return;
  places.forEach((at, place) => {
    const crop = state.crops[at];
    if (!crop || crop.fact !== asked[place]) return;
    crop.boxes = found[place].crops.map(({ box }) => box);
    crop.sure = found[place].crops.map(({ p_yes }) => p_yes);
    crop.source = crop.boxes.length ? "found" : "none";
  });
  draw();
  list();
  keep();
}

/** As `POST /v1/edits` takes it. */
export const evidence = () => Object.fromEntries(
  state.crops.flatMap((crop, at) => (crop.boxes.length ? [[String(at), crop.boxes]] : [])));

function status({ source, boxes, sure }) {
  const parts = `${boxes.length} ${boxes.length === 1 ? "part" : "parts"}`;
  if (source === "drawn") return `${parts} drawn by you.`;
  if (source === "found") return `${parts} found by the model (it says yes with ${sure.map((p) => p.toFixed(2)).join(", ")}). Draw your own if that is wrong.`;
  if (source === "none") return "The model found no part; the whole picture will stand for it, unless you draw one.";
  return "Not chosen yet: draw it, or let the model look for it.";
}

function list() {
  $("evidence").hidden = state.crops.length === 0;
  $("crops").replaceChildren(...state.crops.map((crop, at) => el("li", { class: colour(at) },
    el("p", {}, el("span", { class: "number", "aria-hidden": "true" }, String(at + 1)), " ", el("span", { class: "fact" }, crop.fact)),
    state.image === null ? null : el("div", { class: "thumbs" }, crop.boxes.map((box, place) => thumb($("shown"), box, `Part ${place + 1} for fact ${at + 1}`, true))),
    el("p", { class: "quiet" }, status(crop)),
    el("div", { class: "row" },
      el("button", { type: "button", "data-draw": at, "aria-pressed": String(drawnFor() === at), "aria-label": `Draw what shows fact ${at + 1}`,
        onclick: () => drawFor(drawnFor() === at ? null : at) }, "Draw"),
      el("button", { type: "button", "data-find": at, "aria-label": `Let the model find what shows fact ${at + 1}`,
        onclick: (event) => during(event.currentTarget, () => find([at])) }, "Find"),
      crop.source === null ? null : el("button", { type: "button", "aria-label": `Forget what was chosen for fact ${at + 1}`,
        onclick: () => { state.crops[at] = fresh(crop.fact); draw(); keep(); tell("facts"); } }, "Clear")))));
  $("apply").textContent = missing().length ? "Find the missing parts" : "Apply";
}

export function start() {
  $("facts").addEventListener("input", () => {
    reread();
    keep();
  });
  on("facts", () => {
    const focused = document.activeElement?.dataset?.draw;
    list();
    if (focused !== undefined) $("crops").querySelector(`[data-draw="${focused}"]`)?.focus();
  });
}
