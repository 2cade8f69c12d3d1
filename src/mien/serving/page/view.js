// Shows results: boxes over the picture, and for each face its seven bars as a list.

const IN_WORDS = 3; // up to so many faces are described one by one
const SVG = "http://www.w3.org/2000/svg";
const boxes = document.getElementById("boxes");
const faces = document.getElementById("faces");
const none = document.getElementById("none");
const results = document.getElementById("results");
const model = document.getElementById("model");

let shown = null; // the picture whose results are shown, and whether as in a mirror
let mirror = false;

// Lines and letters keep their size on the screen however large the picture is.
new ResizeObserver(() => shown && drawBoxes()).observe(boxes);

/** Show the faces of a picture; `mirrored` where the picture is shown as in a mirror. */
export function show(picture, mirrored = false) {
  [shown, mirror] = [picture, mirrored];
  drawBoxes();
  while (faces.children.length > picture.faces.length) faces.lastChild.remove();
  picture.faces.forEach((face, index) => {
    // A list item that exists is kept, so that its bars move and a reader's place is not lost.
    const item = faces.children[index] ?? faces.appendChild(newItem(index, face));
    update(item, face);
  });
  none.hidden = picture.faces.length > 0;
  results.hidden = false;
  model.textContent = `Model: ${picture.model}.`;
}

/** Return the results that are shown, or null. */
export function shownPicture() {
  return shown;
}

export function clear() {
  shown = null;
  boxes.replaceChildren();
  faces.replaceChildren();
  results.hidden = true;
}

/** Return the faces as a sentence. */
export function describe(picture) {
  const count = picture.faces.length;
  if (count === 0) return "No face was found.";
  const left = picture.faces_left_out ? ` ${picture.faces_left_out} more were left out.` : "";
  if (count > IN_WORDS) return `${count} faces: ${tally(picture.faces)}.${left}`;
  const parts = picture.faces.map((face, index) => {
    const name = count === 1 ? "" : `face ${index + 1} `;
    return `${name}${verdict(face)}, ${percent(face.confidence)}`;
  });
  return `${count === 1 ? "One face" : `${count} faces`}: ${parts.join("; ")}.${left}`;
}

/** Return how many faces there are of each kind, the most frequent first. */
function tally(list) {
  const counts = new Map();
  for (const face of list) {
    const kind = face.uncertain ? "uncertain" : face.emotion;
    counts.set(kind, (counts.get(kind) ?? 0) + 1);
  }
  const sorted = [...counts].sort((one, other) => other[1] - one[1]);
  return sorted.map(([kind, count]) => `${count} ${kind}`).join(", ");
}

function verdict(face) {
  return `${face.uncertain ? "perhaps " : ""}${face.emotion}`;
}

function percent(value) {
  return `${Math.round(100 * value)}\u00a0%`;
}

function drawBoxes() {
  boxes.setAttribute("viewBox", `0 0 ${shown.width} ${shown.height}`);
  const width = boxes.getBoundingClientRect().width;
  const pixel = width ? shown.width / width : 1;
  // All labels come after all boxes, so that no neighbor's box covers them.
  boxes.replaceChildren(
    ...shown.faces.map((face, index) => group(face, index, box(face, pixel))),
    ...shown.faces.map((face, index) => group(face, index, label(face, index, pixel))),
  );
}

function group(face, index, parts) {
  const made = document.createElementNS(SVG, "g");
  made.dataset.emotion = face.emotion;
  made.dataset.face = index;
  made.append(...parts);
  return made;
}

/** Return where a face is in the picture as it is shown. */
function place(face) {
  const [left, y, width, height] = face.box;
  return { x: mirror ? shown.width - left - width : left, y, width, height };
}

function box(face, pixel) {
  const dashes = face.uncertain ? `${7 * pixel} ${5 * pixel}` : "none";
  const line = { class: "box", "stroke-width": 2.5 * pixel, "stroke-dasharray": dashes };
  return [
    element("rect", { ...place(face), class: "rim", "stroke-width": 5 * pixel }),
    element("rect", { ...place(face), ...line }),
  ];
}

function label(face, index, pixel) {
  const { x, y, width } = place(face);
  const letters = 15 * pixel;
  let text = `${index + 1} ${face.emotion}${face.uncertain ? "?" : ""}`;
  const long = () => (text.length * 0.6 + 0.7) * letters;
  // Where faces are small, whole labels would cover their neighbors.
  if (long() > 1.4 * width) text = `${index + 1}`;
  const size = { width: long(), height: 1.4 * letters };
  const above = y >= size.height ? y - size.height : y;
  const at = Math.max(0, Math.min(x, shown.width - size.width));
  return [
    element("rect", { class: "plate", x: at, y: above, ...size, rx: 3 * pixel }),
    element("text", { x: at + 0.35 * letters, y: above + letters, "font-size": letters }, text),
  ];
}

function element(name, attributes, text) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text) made.textContent = text;
  return made;
}

function html(name, className = "", ...content) {
  const made = document.createElement(name);
  if (className) made.className = className;
  made.append(...content);
  return made;
}

function newItem(index, face) {
  const number = html("span", "number", html("span", "unseen", "Face "), `${index + 1}`);
  const title = html("h3", "", number, html("span", "word"), html("span", "percent"));
  const item = html("li", "", title, html("p", "note"), html("dl"));
  for (const emotion of Object.keys(face.scores)) {
    const value = html("dd", "", html("span", "bar", html("i")), html("b"));
    const row = html("div", "", html("dt", "", emotion), value);
    row.dataset.emotion = emotion;
    item.lastChild.append(row);
  }
  item.addEventListener("pointerenter", () => light(index));
  item.addEventListener("pointerleave", () => light(-1));
  return item;
}

/** Let the box of one face stand out; -1: of none. */
function light(index) {
  boxes.classList.toggle("lit", index >= 0);
  for (const one of boxes.children) one.classList.toggle("this", one.dataset.face === `${index}`);
}

function update(item, face) {
  item.dataset.emotion = face.emotion;
  item.classList.toggle("uncertain", face.uncertain);
  const [title, note] = item.children;
  title.querySelector(".word").textContent = verdict(face);
  title.querySelector(".percent").textContent = percent(face.confidence);
  note.textContent = face.quality?.length ? `Hard to read: ${face.quality.join(", ")}.` : "";
  for (const row of item.lastChild.children) {
    const score = face.scores[row.dataset.emotion];
    row.classList.toggle("top", row.dataset.emotion === face.emotion);
    row.querySelector("i").style.width = `${100 * score}%`;
    row.querySelector("b").textContent = percent(score);
  }
}
