// Asking: the answer, and why it is given.

import * as api from "./api.js";
import { $, during, lines } from "./dom.js";
import { keep, on, state, tell } from "./state.js";
import { answered, reasons, shares } from "./why.js";

let turn = 0;

export const choices = () => (state.about.upstream ? [] : lines($("choices").value));

/** Ask what is in the form; returns the answer. */
export async function ask() {
  if (state.image === null) throw new Error("Choose a picture first.");
  const question = $("question").value.trim();
  if (!question) throw new Error("Ask something first.");
  const now = ++turn;
  const image = state.image;
  const put = () => Promise.all([api.ask(state.about.model, image, question, choices()), api.explain(image, question)]);
  let [answer, told] = await put();
  if (answer.version !== null && answer.version !== told.version) [answer, told] = await put(); // edited in between
  if (now !== turn) return answer;
  $("answer").replaceChildren(...answered(answer));
  $("reasons").replaceChildren(...[shares(answer), ...reasons(told)].filter(Boolean));
  $("answered").hidden = false;
  tell("asked");
  if (told.version !== state.version) tell("edits"); // somebody else has edited
  return answer;
}

/** What was answered belongs to another picture or question. */
function stale() {
  turn += 1;
  $("answered").hidden = true;
}

export function start() {
  const button = $("ask").querySelector("button.main");
  $("ask").addEventListener("submit", (event) => {
    event.preventDefault();
    during(button, async () => {
      await ask();
      keep();
    });
  });
  $("question").addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    $("ask").requestSubmit(button);
  });
  for (const name of ["question", "choices"]) $(name).addEventListener("input", stale);
  on("picture", stale);
}
