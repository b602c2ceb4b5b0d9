// The same questions before and after an edit, side by side.

import * as api from "./api.js";
import { choices } from "./ask.js";
import { $, during, el, plain } from "./dom.js";
import { state } from "./state.js";

let made = null; // the edit that is shown: its id, and what shows it undone
let known = null; // answers before an edit: {image, offered, version, texts: Map}

export const texts = () => [$("question"), $("other-0"), $("other-1")].map((field) => field.value.trim()).filter(Boolean);

async function answers(image, asked, offered) {
  return Promise.all(asked.map((text) => api.ask(state.about.model, image, text, offered)));
}

/** The answers as they are now; those that are known already, with the same edits in force, are not asked again. */
export async function before(version) {
  const offered = choices();
  const same = known !== null && known.image === state.image && known.version === version
    && JSON.stringify(known.offered) === JSON.stringify(offered);
  if (!same) known = { image: state.image, offered, version, texts: new Map() };
  const kept = known;
  const wanted = texts();
  const asked = wanted.filter((text) => !kept.texts.has(text));
  const found = await answers(kept.image, asked, offered);
  asked.forEach((text, at) => kept.texts.set(text, found[at]));
  return wanted.map((text) => kept.texts.get(text));
}

function cell(answer, right, title) {
  const good = plain(answer.text) === plain(right);
  return el("td", { class: good ? "good" : "bad", "data-title": title },
    el("span", {}, answer.text || "(nothing)"), " ", el("b", {}, good ? "right" : "wrong"),
    el("span", { class: "quiet" }, answer.facts.length ? `read with ${answer.facts.length} stored ${answer.facts.length === 1 ? "fact" : "facts"}` : "by the model itself"));
}

function table(shown, later, title) {
  const rows = shown.asked.map((text, at) => el("tr", {}, el("th", { scope: "row" }, text),
    cell(shown.before[at], shown.right, "Before"), cell(later[at], shown.right, title)));
  return el("table", { class: "pairs" },
    el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "Asked"), el("th", { scope: "col" }, "Before"), el("th", { scope: "col" }, title))),
    el("tbody", {}, rows));
}

/** What there is to say of an edit that was made. */
function notes(edit) {
  const earlier = edit.superseded;
  return [
    edit.repeated ? "This very edit had been made before; nothing was added." : null,
    earlier ? ["It replaces ", el("a", { href: `#edit-${earlier}` }, "an earlier edit"), " of the same question, which is not in force now."] : null,
    ...edit.notes.filter((note) => !(earlier && note.includes(earlier))),
  ].filter(Boolean).map((note) => el("p", { class: "quiet note" }, note));
}

/** What may help where the edit did not: none where the question is answered right now. */
function advice(answer, right) {
  if (plain(answer.text) === plain(right)) return [];
  const why = answer.facts.length
    ? "It was read with stored facts, so they do not lead to your answer: say one thing a line, in words like those of the question, up to the answer."
    : "No stored fact was near enough to be read: ask again and open Why? to see how near they are.";
  return [el("p", { class: "note", id: "advice" }, `The question is still answered wrong. ${why} Undo this edit, change the facts and apply again.`)];
}

/** Show an edit that was made: ask again, and offer to take it back. */
export async function show(edit, earlier, undo) {
  const shown = { image: state.image, asked: texts(), offered: choices(), before: earlier, right: edit.answer };
  const later = await answers(shown.image, shown.asked, shown.offered);
  known = null;
  const button = el("button", { type: "button", id: "undo-this" }, "Undo this edit");
  const undone = async () => {
    button.hidden = true;
    for (const note of $("compared").querySelectorAll(".note")) note.remove();
    const now = await answers(shown.image, shown.asked, shown.offered);
    if (button.isConnected) $("compared").querySelector("table").replaceWith(table(shown, now, "Now, undone"));
  };
  button.addEventListener("click", () => during(button, async () => {
    await undo(edit.id);
    await undone();
    $("compare-title").focus();
  }));
  made = { id: edit.id, undone };
  $("compared").replaceChildren(table(shown, later, "After"), ...advice(later[0], edit.answer), ...notes(edit), button);
  $("comparing").hidden = false;
}

/** The edit that is shown was undone, or made again, in the list of all. */
export async function elsewhere(id, again) {
  if (made === null || made.id !== id || $("comparing").hidden) return;
  if (again) $("comparing").hidden = true;
  else await made.undone();
}
