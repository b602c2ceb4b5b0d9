// A hint where a person uses words that the model was not taught.

import * as api from "./api.js";
import { $, el, lines } from "./dom.js";
import { state } from "./state.js";

const WAIT = 500; // milliseconds without a key
const LONG = 40; // characters of a word that are shown

const short = (word) => (word.length > LONG ? `${word.slice(0, LONG)}…` : word);

/** Watch the fields `names`; the hint is shown in the element `place`. */
export function watch(place, names) {
  let timer = 0;
  let turn = 0;
  const look = async () => {
    if (state.about === null || state.about.upstream) return; // another model answers: its words are not known here
    const texts = names.flatMap((name) => lines($(name).value)).slice(0, state.about.limits.facts);
    const now = ++turn;
    let unknown = [];
    try {
      unknown = texts.length ? await api.words(texts) : [];
    } catch {
      return; // a hint is not worth a message
    }
    if (now !== turn) return;
    $(place).hidden = unknown.length === 0;
    $(place).replaceChildren("The model was not taught ", ...unknown.flatMap(({ word, near }, at) => [
      at ? ", " : "", el("b", {}, short(word)), near.length ? ` (it knows ${near.join(", ")})` : ""]),
    ". It reads such words letter by letter, so answers may be wide of the mark.");
  };
  const later = () => {
    clearTimeout(timer);
    timer = setTimeout(look, WAIT);
  };
  for (const name of names) $(name).addEventListener("input", later);
  document.addEventListener("rv-picture", later);
  document.addEventListener("rv-facts", later);
}
