// An answer, and why: what was retrieved, how near it lies, what stood for which fact, and what was rejected.

import { el } from "./dom.js";
import { laterThumb } from "./thumbs.js";

const number = (value) => (value === null ? "none" : value.toPrecision(3));

/** The answer's text with what is known of it. */
export function answered(answer) {
  const told = answer.facts.length
    ? `read with ${answer.facts.length} stored ${answer.facts.length === 1 ? "fact" : "facts"}`
    : "by the model itself";
  return [el("strong", { id: "said-answer" }, answer.text || "(nothing)"), " ", el("span", { class: "quiet" }, told)];
}

/** How likely each choice is, among the choices. */
export function shares(answer) {
  if (!answer.scores.length) return null;
  const most = Math.max(...answer.scores);
  const parts = answer.scores.map((score) => Math.exp(score - most));
  const sum = parts.reduce((one, other) => one + other, 0);
  return el("table", { class: "shares" },
    el("caption", { class: "quiet" }, "Share of each answer"),
    el("tbody", {}, answer.choices.map((choice, at) => el("tr", {}, el("th", { scope: "row" }, choice),
      el("td", {}, bar(parts[at] / sum, null)), el("td", {}, (parts[at] / sum).toFixed(2))))));
}

function bar(share, mark) {
  const inside = el("span", { class: "bar" });
  inside.style.width = `${100 * share}%`;
  const track = el("span", { class: "track", "aria-hidden": "true" }, inside);
  if (mark !== null) {
    const line = el("span", { class: "mark" });
    line.style.left = `${100 * mark}%`;
    track.append(line);
  }
  return track;
}

function use(told, neighbour, fact) {
  if (neighbour.used.includes(fact)) return "Put before the question.";
  if (told.facts.includes(fact)) return "Put there already, by a nearer key.";
  return told.accepted ? "Not used." : "Not used, as the nearest key is too far.";
}

function sentence(told, neighbour, at) {
  const fact = neighbour.facts[at];
  const box = neighbour.patches[at];
  const used = told.facts.includes(fact);
  const where = box === null ? "the whole picture" : `the marked part, ${box.map(Math.round).join(", ")}`;
  return el("li", { class: used ? "used" : "unused" },
    laterThumb(neighbour.edits[at], box, box === null ? "The whole picture stood for it" : `Part ${box.map(Math.round).join(", ")} stood for it`),
    el("span", {}, el("span", { class: "fact" }, fact), el("span", { class: "quiet" },
      ` ${use(told, neighbour, fact)} ${neighbour.kinds[at] === "answer" ? "An answer" : "A fact"}; ${where} stood for it. `,
      el("a", { href: `#edit-${neighbour.edits[at]}` }, "Its edit"))));
}

/** What `/v1/explain` tells. */
export function reasons(told) {
  const nearest = told.neighbours.map((neighbour) => neighbour.distance);
  const widest = 1.08 * Math.max(told.threshold ?? 0, ...nearest, 1e-9);
  const threshold = told.threshold === null ? null : Math.min(1, told.threshold / widest);
  const beyond = told.accepted && told.threshold !== null && nearest.some((distance) => distance > told.threshold);
  return [
    el("p", { class: told.accepted ? "verdict yes" : "verdict no" }, told.reason.replace(/^Accepted:/, "Stored facts are used:").replace(/^Rejected:/, "No stored fact is used:")),
    beyond ? el("p", { class: "quiet" }, "The threshold is for the nearest key alone. Once that is near enough, the next nearest come along.") : null,
    told.neighbours.length
      ? el("ol", { class: "neighbours", "aria-label": "The nearest keys" }, told.neighbours.map((neighbour) => el("li", {},
        el("p", { class: "distance" }, `Distance ${number(neighbour.distance)} `, bar(neighbour.distance / widest, threshold),
          el("span", { class: "quiet" }, told.threshold === null ? "no threshold" : `threshold ${number(told.threshold)}`)),
        el("ul", {}, neighbour.facts.map((_, at) => sentence(told, neighbour, at))))))
      : null,
  ].filter(Boolean);
}
