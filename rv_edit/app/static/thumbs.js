// Small pictures: a part cut out, or the whole with its part marked; and the pictures of edits, each fetched once.

import * as api from "./api.js";
import { el } from "./dom.js";

const SIDE = 72;
const fetched = new Map();

/** The picture of an edit, or null where the service has none. */
export function ofEdit(id) {
  if (!fetched.has(id)) {
    fetched.set(id, api.picture(id).then((blob) => createImageBitmap(blob)).catch(() => null));
  }
  return fetched.get(id);
}

/** Part `box` of `image` (all of it: null), marked within the whole or cut out. */
export function thumb(image, box, label, cut = false) {
  const width = image.naturalWidth || image.width;
  const height = image.naturalHeight || image.height;
  const [left, top, right, bottom] = cut && box ? box : [0, 0, width, height];
  const scale = SIDE / Math.max(right - left, bottom - top);
  const canvas = el("canvas", { class: "thumb", role: "img", "aria-label": label, title: label,
    width: Math.max(1, Math.round((right - left) * scale)), height: Math.max(1, Math.round((bottom - top) * scale)) });
  const pen = canvas.getContext("2d");
  pen.drawImage(image, left, top, right - left, bottom - top, 0, 0, canvas.width, canvas.height);
  if (box && !cut) {
    const sides = [box[0] * scale, box[1] * scale, (box[2] - box[0]) * scale, (box[3] - box[1]) * scale];
    for (const [line, paint] of [[4, "#000"], [2, "#fff"]]) {
      pen.lineWidth = line;
      pen.strokeStyle = paint;
      pen.strokeRect(...sides);
    }
  }
  return canvas;
}

/** A place that a thumbnail of an edit's picture comes to once it is there. */
export function laterThumb(id, box, label) {
  const place = el("span", { class: "later" });
  ofEdit(id).then((image) => {
    if (image !== null) place.replaceChildren(thumb(image, box, label));
    else place.replaceChildren(el("span", { class: "quiet" }, "(picture not kept here)"));
  });
  return place;
}
