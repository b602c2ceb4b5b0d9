// What a person is working on, kept in the tab so that a reload loses nothing of it.

const DRAFT = "rv_edit.draft";
const AUTHOR = "rv_edit.author";
const MOST = 3_000_000; // characters; browsers keep about five million

/** The service (`/v1/about`) and the draft. */
export const state = {
  about: null,
  image: null, // data URL
  size: [0, 0], // in pixels, as the service decodes it
  crops: [], // for each fact {fact, boxes, source}: source is "drawn", "found" or "none"
  from: null, // the example it came from
  version: 0, // of the edits, as last heard
};

export const FIELDS = ["question", "choices", "right", "facts", "other-0", "other-1"];

export function keep() {
  const from = state.from === null ? null : { ...state.from, image: undefined };
  const draft = { image: state.image, crops: state.crops, from };
  for (const name of FIELDS) draft[name] = document.getElementById(name).value;
  draft.correcting = !document.getElementById("correcting").hidden;
  if (draft.image !== null && draft.image.length > MOST) draft.image = null;
  try {
    sessionStorage.setItem(DRAFT, JSON.stringify(draft));
    localStorage.setItem(AUTHOR, document.getElementById("author").value);
  } catch { /* full, or forbidden: then a reload starts anew */ }
}

export function kept() {
  try {
    document.getElementById("author").value = localStorage.getItem(AUTHOR) || "";
    return JSON.parse(sessionStorage.getItem(DRAFT));
  } catch {
    return null;
  }
}

/** Something changed that others show: "picture", "edits" or "facts". */
export const tell = (what) => document.dispatchEvent(new Event(`rv-${what}`));
export const on = (what, run) => document.addEventListener(`rv-${what}`, run);
