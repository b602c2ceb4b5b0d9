// The page's beginning: what the service is, what was being worked on, then the rest.

import * as api from "./api.js";
import * as ask from "./ask.js";
import * as correct from "./correct.js";
import * as crops from "./crops.js";
import { $, hush, say } from "./dom.js";
import * as facts from "./facts.js";
import * as history from "./history.js";
import * as map from "./map.js";
import * as picture from "./picture.js";
import { FIELDS, keep, kept, state } from "./state.js";
import * as words from "./words.js";

async function restore() {
  const draft = kept();
  if (draft === null) return;
  if (draft.image) await picture.show(draft.image, draft.from).catch(() => {});
  for (const name of FIELDS) $(name).value = draft[name] || "";
  $("bound").open = Boolean(draft.choices);
  state.crops = state.image === null ? [] : draft.crops || [];
  facts.reread();
  $("correcting").hidden = !draft.correcting || state.image === null;
}

async function connect() {
  state.about = await api.about();
  $("bound").hidden = state.about.upstream;
  $("key").hidden = true;
  document.documentElement.dataset.ready = "yes";
  await Promise.all([picture.offerExamples(), history.list(), map.list()]);
}

document.addEventListener("key-needed", () => {
  $("key").hidden = false;
  $("key-text").focus();
});
$("key").addEventListener("submit", (event) => {
  event.preventDefault();
  hush();
  api.useKey($("key-text").value.trim());
  $("key-text").value = "";
  connect().catch((error) => say(error.status === 401 ? "The service does not know this key." : error.message));
});
$("dismiss").addEventListener("click", hush);
for (const part of [picture, ask, facts, crops, correct, history, map]) part.start();
words.watch("ask-words", ["question", "choices"]);
words.watch("correct-words", ["right", "facts", "other-0", "other-1"]);
for (const name of ["question", "choices"]) $(name).addEventListener("change", keep);
window.addEventListener("hashchange", () => {
  const id = location.hash.slice(1);
  if (id.startsWith("edit-")) history.reach(id).catch((error) => say(error.message));
  else $(id)?.focus();
});

await restore();
connect().catch((error) => say(error.status === 401 ? "Give the key of this service." : error.message));
