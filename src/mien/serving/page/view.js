// Shows results: boxes over the picture, and for each face its seven bars as a list.

const IN_WORDS = 3; // up to so many faces are described one by one
const SVG = "http://www.w3.org/2000/svg";
const boxes = document.getElementById("boxes");
const faces = document.getElementById("faces");
const results = document.getElementById("results");

/** Show the faces of a picture; `mirrored` where the picture is shown as in a mirror. */
export function show(picture, mirrored = false) {
  boxes.setAttribute("viewBox", `0 0 ${picture.width} ${picture.height}`);
  boxes.replaceChildren(
    ...picture.faces.map((face, index) => box(face, index, picture, mirrored)),
  );
  while (faces.children.length > picture.faces.length) faces.lastChild.remove();
  picture.faces.forEach((face, index) => {
    // A list item that exists is kept, so that its bars move and a reader's place is not lost.
    const item = faces.children[index] ?? faces.appendChild(newItem(index, face));
    update(item, face);
  });
  results.hidden = picture.faces.length === 0;
}

export function clear() {
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
    const name = count === 1 ? "" : `face ${number(face, index)} `;
    const perhaps = face.uncertain ? "perhaps " : "";
    return `${name}${perhaps}${face.emotion}, ${percent(face.confidence)}`;
  });
  return `${count === 1 ? "One face" : `${count} faces`}: ${parts.join("; ")}.${left}`;
}

/** Return a face's number: that of its track in a video, else its place from left to right. */
function number(face, index) {
  return face.track ?? index + 1;
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

function percent(value) {
  return `${Math.round(100 * value)}\u00a0%`;
}

function box(face, index, picture, mirrored) {
  const [left, y, width, height] = face.box;
  const x = mirrored ? picture.width - left - width : left;
  // Lines and letters keep their size on the screen however large the picture is.
  const shown = boxes.getBoundingClientRect();
  const pixel = shown.width ? picture.width / shown.width : 1;
  const group = document.createElementNS(SVG, "g");
  group.dataset.emotion = face.emotion;
  const letters = 15 * pixel;
  let text = `${number(face, index)} ${face.emotion}${face.uncertain ? "?" : ""}`;
  const long = () => (text.length * 0.6 + 0.7) * letters;
  // Where faces are small, whole labels would cover their neighbors.
  if (long() > 1.4 * width) text = `${number(face, index)}`;
  const label = { width: long(), height: 1.4 * letters };
  const above = y >= label.height ? y - label.height : y;
  const at = Math.max(0, Math.min(x, picture.width - label.width));
  group.append(
    element("rect", { class: "rim", x, y, width, height, "stroke-width": 5 * pixel }),
    element("rect", { class: "box", x, y, width, height, "stroke-width": 2.5 * pixel }),
    element("rect", { class: "plate", x: at, y: above, ...label, rx: 3 * pixel }),
    element("text", { x: at + 0.35 * letters, y: above + letters, "font-size": letters }, text),
  );
  return group;
}

function element(name, attributes, text) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text) made.textContent = text;
  return made;
}

function newItem(index, face) {
  const item = document.createElement("li");
  const hard = document.createElement("p");
  item.append(document.createElement("h3"), hard, document.createElement("dl"));
  for (const emotion of Object.keys(face.scores)) {
    const row = document.createElement("div");
    row.dataset.emotion = emotion;
    const name = document.createElement("dt");
    name.textContent = emotion;
    const value = document.createElement("dd");
    const bar = document.createElement("span");
    bar.className = "bar";
    bar.append(document.createElement("i"));
    value.append(bar, document.createElement("b"));
    row.append(name, value);
    item.lastChild.append(row);
  }
  return item;
}

function update(item, face) {
  const index = [...faces.children].indexOf(item);
  item.dataset.emotion = face.emotion;
  const [title, hard] = item.children;
  const perhaps = face.uncertain ? "perhaps " : "";
  title.textContent = `${number(face, index)}. ${perhaps}${face.emotion} ${percent(face.confidence)}`;
  hard.textContent = face.quality?.length ? `Hard to read: ${face.quality.join(", ")}.` : "";
  for (const row of item.lastChild.children) {
    const score = face.scores[row.dataset.emotion];
    row.classList.toggle("top", row.dataset.emotion === face.emotion);
    row.querySelector("i").style.width = `${100 * score}%`;
    row.querySelector("b").textContent = percent(score);
  }
}
