// Every edit, newest first, each of which can be looked at again and undone.

import * as api from "./api.js";
import { $, during, el, say } from "./dom.js";
import * as facts from "./facts.js";
import { show } from "./picture.js";
import { heard } from "./correct.js";
import { keep, on, state, tell } from "./state.js";
import { laterThumb } from "./thumbs.js";

const AT_ONCE = 30;
let shown = AT_ONCE;

const asUrl = (blob) => new Promise((resolve, reject) => {
  const reader = new FileReader();
  reader.onload = () => resolve(reader.result);
  reader.onerror = () => reject(new Error("The picture of this edit cannot be read."));
  reader.readAsDataURL(blob);
});

async function open(edit) {
  const url = await asUrl(await api.picture(edit.id));
  $("question").value = edit.question;
  $("choices").value = "";
  await show(url);
  $("right").value = edit.answer;
  facts.fillIn(edit.reasoning, edit.evidence);
  keep();
  $("question").focus();
}

async function undo(edit) {
  let picture = null;
  try {
    picture = await asUrl(await api.picture(edit.id));
  } catch { /* then it cannot be made again from here */ }
  await api.undo(edit.id, document.getElementById("author").value.trim());
  const again = picture === null ? null : {
    label: "Make it again",
    run: (event) => during(event.currentTarget, async () => {
      const { id, question, answer, reasoning, evidence } = edit;
      await api.makeEdit({ id, image: picture, question, answer, reasoning, evidence, author: edit.author });
      tell("edits");
    }),
  };
  await list();
  tell("undone");
  say(`Undone: ${edit.question} ${edit.answer}`, again);
}

function row(edit) {
  const made = edit.created ? new Date(edit.created).toLocaleString() : "at an unknown time";
  return el("li", { id: `edit-${edit.id}`, tabindex: -1 },
    laterThumb(edit.id, null, "The picture of this edit"),
    el("div", {},
      el("p", {}, el("span", { class: "asked" }, edit.question), " ", el("strong", {}, edit.answer)),
      el("ul", {}, edit.reasoning.map((fact) => el("li", { class: "fact" }, fact))),
      edit.superseded_by === null ? null : el("p", { class: "bad" }, "Not in force: a later edit answers the same question differently."),
      el("p", { class: "quiet" }, `${edit.author || "Somebody"}, ${made}`),
      el("div", { class: "row" },
        el("button", { type: "button", onclick: (event) => during(event.currentTarget, () => open(edit)) }, "Look at it again"),
        el("button", { type: "button", onclick: (event) => during(event.currentTarget, () => undo(edit)) }, "Undo"))));
}

/** Read the newest edits. */
export async function list() {
  const { total, version } = await api.edits(1, 0);
  const first = Math.max(0, total - shown);
  const found = total ? (await api.edits(shown, first)).data : [];
  heard(version);
  $("edits").replaceChildren(...found.reverse().map(row));
  $("no-edits").hidden = total > 0;
  $("older").hidden = first === 0;
  $("about").textContent = `${state.about.model}${state.about.upstream ? ", run by another server" : ""} · ${total} ${total === 1 ? "edit" : "edits"}`
    + (state.about.owner ? ` · you are ${state.about.owner}` : "");
}

export function start() {
  $("older").addEventListener("click", () => during($("older"), () => {
    shown += AT_ONCE;
    return list();
  }));
  on("edits", () => list().catch((error) => say(error.message)));
}
