// Elements and messages. Text of others becomes text nodes, never markup.

export const $ = (id) => document.getElementById(id);

/** An element with attributes (`on…` are listeners) and children; strings among them are text. */
export function el(name, attributes = {}, ...children) {
  return fill(document.createElement(name), attributes, children);
}

/** The same for drawings. */
export function svg(name, attributes = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);
}

function fill(node, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/** One line for the person; with an action, a button beside it. */
export function say(text, action = null) {
  $("said").textContent = text;
  $("message").hidden = false;
  $("action").hidden = action === null;
  if (action !== null) {
    $("action").textContent = action.label;
    $("action").onclick = action.run;
  }
}

export function hush() {
  $("message").hidden = true;
}

/** Run `work` while `button` waits; what goes wrong is said in one line. */
export async function during(button, work) {
  if (button.getAttribute("aria-disabled") === "true") return;
  hush();
  button.setAttribute("aria-disabled", "true"); // not `disabled`, which would lose the keyboard's place
  try {
    await work();
  } catch (error) {
    say(error.message);
  } finally {
    button.removeAttribute("aria-disabled");
  }
}

export const lines = (text) => text.split("\n").map((line) => line.trim()).filter(Boolean);

/** How a question or an answer compares: case, blanks and the final mark aside. */
export const plain = (text) => text.normalize("NFKC").toLowerCase().replace(/\s+/g, " ").trim().replace(/[.?! ]+$/, "");
