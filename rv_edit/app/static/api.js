// The service, as every other client speaks with it.

const KEY = "rv_edit.key";

export class Refused extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

export const useKey = (key) => sessionStorage.setItem(KEY, key);

const NAMES = {
  messages: "The question", question: "The question", choices: "The answers to choose from", answer: "The right answer",
  reasoning: "The facts", image: "The picture", author: "Your name",
};

/** What the service refuses, with the page's names for its fields: `reasoning[0]` is fact 1. */
const ours = (said) => said.replace(/^(\w+)(?:\[(\d+)\])?: /, (all, name, at) => {
  if (name === "reasoning" && at !== undefined) return `Fact ${Number(at) + 1}: `;
  return Object.hasOwn(NAMES, name) && at === undefined ? `${NAMES[name]}: ` : all;
});

async function send(method, path, body) {
  const headers = {};
  const key = sessionStorage.getItem(KEY);
  if (key) headers.Authorization = `Bearer ${key}`;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  } catch {
    throw new Refused("The service does not answer. Is it running?", 0);
  }
  if (response.ok) return response;
  let said = `The service answered ${response.status}.`;
  try {
    said = ours((await response.json()).error.message);
  } catch { /* no JSON: something between us and the service answered */ }
  if (response.status === 401) document.dispatchEvent(new Event("key-needed"));
  throw new Refused(said, response.status);
}

const json = async (method, path, body) => (await send(method, path, body)).json();
const one = (id) => `/v1/edits/${encodeURIComponent(id)}`;

export const about = () => json("GET", "/v1/about");
export const examples = async () => (await json("GET", "/v1/examples")).data;
export const explain = (image, question) => json("POST", "/v1/explain", { image, question });
export const evidence = (image, reasoning) => json("POST", "/v1/evidence", { image, reasoning });
export const words = async (texts) => (await json("POST", "/v1/words", { texts })).unknown;
export const keys = (image, question) => json("POST", "/v1/map", image && question ? { image, question } : {});
export const makeEdit = (edit) => json("POST", "/v1/edits", edit);
export const undo = (id, author) => json("DELETE", `${one(id)}?author=${encodeURIComponent(author)}`);
export const edits = (limit, offset) => json("GET", `/v1/edits?limit=${limit}&offset=${offset}`);
export const picture = async (id) => (await send("GET", `${one(id)}/picture`)).blob();

/** The answer to a question: `{text, choices, scores, facts, accepted, version}`. */
export async function ask(model, image, question, choices) {
  const content = [{ type: "image_url", image_url: { url: image } }, { type: "text", text: question }];
  const body = { model, messages: [{ role: "user", content }] };
  if (choices.length) body.choices = choices;
  const answer = await json("POST", "/v1/chat/completions", body);
  const told = answer.rv_edit || { facts: [], accepted: false, version: null };
  return { text: answer.choices[0].message.content || "", choices, scores: told.scores || [], ...told };
}
