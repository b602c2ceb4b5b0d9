// Which picture is asked about: chosen, dropped, pasted, or one of the examples.

import * as api from "./api.js";
import { $, el, hush, say } from "./dom.js";
import { keep, state, tell } from "./state.js";

const TYPES = ["image/png", "image/jpeg", "image/webp", "image/gif", "image/bmp"];

const dataUrl = (file) => new Promise((resolve, reject) => {
  const reader = new FileReader();
  reader.onload = () => resolve(reader.result);
  reader.onerror = () => reject(new Error("The file cannot be read."));
  reader.readAsDataURL(file);
});

/** Show a picture; resolves when its size is known. */
export async function show(url, from = null) {
  const shown = $("shown");
  shown.src = url;
  try {
    await shown.decode();
  } catch {
    shown.removeAttribute("src");
    $("stage").hidden = true;
    state.image = null;
    throw new Error("This picture cannot be shown; it may be damaged.");
  }
  Object.assign(state, { image: url, from, size: [shown.naturalWidth, shown.naturalHeight] });
  $("stage").style.setProperty("--aspect", shown.naturalWidth / shown.naturalHeight);
  $("stage").hidden = false;
  for (const button of $("examples").querySelectorAll("button")) {
    button.setAttribute("aria-pressed", String(from !== null && button.dataset.id === from.id));
  }
  tell("picture");
}

/** Bring it into view: it lies above the examples, which may have been scrolled. */
export const reveal = () => $("stage").scrollIntoView({ block: "nearest" });

async function take(file) {
  if (!file) return;
  hush();
  try {
    const most = state.about === null ? Infinity : state.about.limits.image_bytes;
    if (!TYPES.includes(file.type)) throw new Error("Give a picture: PNG, JPEG, WebP, GIF or BMP.");
    if (file.size > most) throw new Error(`The picture has ${file.size} bytes; at most ${most} are taken.`);
    await show(await dataUrl(file));
    reveal();
    keep();
  } catch (error) {
    say(error.message);
  }
}

function tryOut(example) {
  $("question").value = example.question;
  $("choices").value = example.choices.join("\n");
  $("bound").open = true;
  hush();
  show(example.image, example).then(reveal).then(keep).catch((error) => say(error.message));
}

export async function offerExamples() {
  const found = await api.examples();
  $("tried").hidden = found.length === 0;
  $("examples").replaceChildren(...found.map((example) => el("li", {},
    el("button", { type: "button", "data-id": example.id, "aria-pressed": String(state.from?.id === example.id),
      onclick: () => tryOut(example) },
    el("img", { src: example.image, alt: "", width: 96, height: 96 }), el("span", {}, example.question)))));
}

export function start() {
  $("file").addEventListener("change", (event) => take(event.target.files[0]));
  const drop = $("drop");
  for (const name of ["dragover", "dragenter"]) {
    document.addEventListener(name, (event) => { event.preventDefault(); drop.classList.add("over"); });
  }
  document.addEventListener("dragleave", (event) => { if (event.relatedTarget === null) drop.classList.remove("over"); });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    take(event.dataTransfer.files[0]);
  });
  document.addEventListener("paste", (event) => take([...event.clipboardData.files].find((file) => TYPES.includes(file.type))));
}
