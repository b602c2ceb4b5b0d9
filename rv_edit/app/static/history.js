// Every edit, newest first, each of which can be looked at again and undone.

import * as api from "./api.js";
import { ask } from "./ask.js";
import { elsewhere } from "./compare.js";
import { $, during, el, say } from "./dom.js";
import * as facts from "./facts.js";
import { reveal, show } from "./picture.js";
import { keep, on, state, tell } from "./state.js";
import { laterThumb } from "./thumbs.js";

const AT_ONCE = 30;
const MOST = 1000; // that the service lists at once
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
  reveal();
  $("right").value = edit.answer;
  facts.fillIn(edit.reasoning, edit.evidence);
  keep();
  $("question").focus();
}

/** What the page says elsewhere must hold: the answer, and the edit that it shows before and after. */
async function follow(id, again) {
  await Promise.all([elsewhere(id, again), $("answered").hidden ? null : ask()]);
}

/** Where the keyboard goes on once a row is gone: the one that took its place, or the title. */
function stay(place) {
  const rows = $("edits").children;
  (rows[Math.min(place, rows.length - 1)] ?? $("history-title")).focus();
}

async function undo(edit) {
  const place = [...$("edits").children].findIndex((one) => one.id === `edit-${edit.id}`);
  let picture = null;
  try {
    picture = await asUrl(await api.picture(edit.id));
  } catch { /* then it cannot be made again from here */ }
  try {
    await api.undo(edit.id, $("author").value.trim());
  } catch (error) {
    if (error.status !== 404) throw error;
    await list(); // it was undone in another tab, or by somebody else
    stay(place);
    await follow(edit.id, false);
    throw new Error("This edit had been undone already.");
  }
  const again = picture === null ? null : {
    label: "Make it again",
    run: (event) => during(event.currentTarget, async () => {
      const { id, question, answer, reasoning, evidence } = edit;
      await api.makeEdit({ id, image: picture, question, answer, reasoning, evidence, author: edit.author });
      await list();
      tell("undone");
      await reach(`edit-${id}`);
      await follow(id, true);
    }),
  };
  await list();
  stay(place);
  tell("undone");
  await follow(edit.id, false);
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
  state.version = version;
  $("edits").replaceChildren(...found.reverse().map(row));
  $("no-edits").hidden = total > 0;
  $("older").hidden = first === 0;
  $("about").textContent = `${state.about.model}${state.about.upstream ? ", run by another server" : ""} · ${total} ${total === 1 ? "edit" : "edits"}`
    + (state.about.owner ? ` · you are ${state.about.owner}` : "");
}

/** Go to an edit, however far down the list it is. */
export async function reach(id) {
  while ($(id) === null && !$("older").hidden && shown < MOST) {
    shown = Math.min(MOST, 2 * shown);
    await list();
  }
  if ($(id) === null) throw new Error("This edit is not in the list; it may have been undone.");
  $(id).focus();
}

export function start() {
  $("older").addEventListener("click", () => during($("older"), () => {
    shown += AT_ONCE;
    return list();
  }));
  on("edits", () => list().catch((error) => say(error.message)));
}
