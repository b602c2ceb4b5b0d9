// "That is wrong": the right answer, the facts, what shows them; then the edit.

import * as api from "./api.js";
import { ask, choices } from "./ask.js";
import * as compare from "./compare.js";
import { drawFor } from "./crops.js";
import { $, during, plain, say } from "./dom.js";
import * as facts from "./facts.js";
import { keep, on, state, tell } from "./state.js";

function open() {
  const example = state.from;
  if (!$("right").value && example && example.question === $("question").value) {
    $("right").value = example.answer;
    facts.fillIn(example.reasoning);
  }
  const words = example && example.question === $("question").value ? example.rephrasings : [];
  [0, 1].forEach((at) => {
    const field = $(`other-${at}`);
    const frame = state.about.frames[at];
    if (!field.value) field.value = words[at] || (frame ? frame.replace("{question}", $("question").value.trim()) : "");
  });
  $("correcting").hidden = false;
  facts.reread();
  tell("facts");
  $("correct-title").focus();
  keep();
  compare.before(state.version).catch(() => {}); // so that they are there when they are wanted
}

async function apply() {
  if (state.image === null) throw new Error("Choose a picture first.");
  const offered = choices();
  const right = $("right").value.trim();
  if (offered.length && !offered.some((choice) => plain(choice) === plain(right))) {
    throw new Error("The right answer is not among the answers to choose from; add it there, or leave them out.");
  }
  drawFor(null);
  const missing = facts.missing();
  if (missing.length) {
    await facts.find(missing);
    say("Look at the parts that were found for your facts, draw your own where they are wrong, then apply.");
    return;
  }
  const started = performance.now();
  const earlier = await compare.before(state.version);
  const made = await api.makeEdit({
    image: state.image, question: $("question").value.trim(), answer: right,
    reasoning: state.crops.map((crop) => crop.fact), evidence: facts.evidence(), author: $("author").value.trim(),
  });
  state.version = made.version;
  await compare.show(made, earlier, take);
  performance.measure("apply", { start: started, end: performance.now() });
  $("compare-title").focus();
  tell("edits");
  keep();
  await ask();
  $("comparing").scrollIntoView({ block: "nearest" }); // on a phone only its title would be in view
}

/** Undo an edit that the page shows. */
async function take(id) {
  try {
    state.version = (await api.undo(id, $("author").value.trim())).version;
  } catch (error) {
    if (error.status !== 404) throw error; // else it was undone in another tab, or by somebody else
  }
  tell("edits");
  await ask();
}

/** Another picture or question has another correction. */
function clear() {
  for (const name of ["right", "other-0", "other-1"]) $(name).value = "";
  facts.fillIn([]);
  $("correcting").hidden = true;
  $("comparing").hidden = true;
}

export function start() {
  $("wrong").addEventListener("click", open);
  $("correct").addEventListener("submit", (event) => {
    event.preventDefault();
    during($("apply"), apply);
  });
  for (const name of ["right", "other-0", "other-1", "author"]) $(name).addEventListener("change", keep);
  on("picture", clear);
  $("question").addEventListener("input", () => ["other-0", "other-1"].forEach((name) => { $(name).value = ""; }));
}
