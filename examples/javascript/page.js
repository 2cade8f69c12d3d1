// The page: a photo, a square dragged over a face, seven bars.

import { Classifier } from "./mien.js";

const find = (selector) => document.querySelector(selector);
const [input, status, canvas, whole, bars] = ["input", "[role=status]", "canvas", "button", "ul"].map(find);
const shown = canvas.getContext("2d");
const photo = new OffscreenCanvas(1, 1); // every pixel, without the square
const pixels = photo.getContext("2d", { willReadFrequently: true });

async function openModel() {
  const answer = await fetch("model.onnx");
  if (!answer.ok) throw new Error("there is no model.onnx beside this page; see README.md");
  return Classifier.open(new Uint8Array(await answer.arrayBuffer()));
}

async function openPhoto(file) {
  const picture = await createImageBitmap(file);
  for (const each of [canvas, photo]) [each.width, each.height] = [picture.width, picture.height];
  pixels.fillStyle = "white"; // below what is transparent, as mien does
  pixels.fillRect(0, 0, photo.width, photo.height);
  pixels.drawImage(picture, 0, 0);
  whole.hidden = false;
  await classifyWhole();
}

const classifyWhole = () => classify({ x: 0, y: 0, width: photo.width, height: photo.height });

async function classify(box) {
  draw(box);
  const face = pixels.getImageData(box.x, box.y, box.width, box.height);
  const scores = await classifier.probabilities(face);
  bars.replaceChildren(...classifier.labels.map((label, i) => bar(label, scores[i])));
  status.textContent = `Most likely: ${classifier.labels[scores.indexOf(Math.max(...scores))]}.`;
}

function draw({ x, y, width, height }) {
  shown.drawImage(photo, 0, 0);
  shown.lineWidth = Math.max(2, photo.width / 200);
  shown.strokeStyle = "orange";
  shown.strokeRect(x, y, width, height);
}

function bar(label, score) {
  const item = document.createElement("li");
  const meter = Object.assign(document.createElement("meter"), { value: score, ariaLabel: label });
  const percent = document.createElement("output");
  percent.textContent = `${(100 * score).toFixed(1)} %`;
  item.append(label, meter, percent);
  return item;
}

/** Where a pointer is, in pixels of the photo. */
function place(event) {
  const { left, top, width, height } = canvas.getBoundingClientRect();
  const at = (value, length, side) => Math.round(Math.min(Math.max(value / length, 0), 1) * side);
  return [at(event.clientX - left, width, photo.width), at(event.clientY - top, height, photo.height)];
}

/** The square from where the pointer went down to where it is, cut off at the picture's border. */
function square([x, y], [toX, toY]) {
  const [right, down] = [toX >= x, toY >= y];
  const room = Math.min(right ? photo.width - x : x, down ? photo.height - y : y);
  const side = Math.min(Math.max(Math.abs(toX - x), Math.abs(toY - y)), room);
  return { x: right ? x : x - side, y: down ? y : y - side, width: side, height: side };
}

let start = null;
canvas.addEventListener("pointerdown", (event) => {
  canvas.setPointerCapture(event.pointerId);
  start = place(event);
});
canvas.addEventListener("pointermove", (event) => start && draw(square(start, place(event))));
canvas.addEventListener("pointerup", (event) => {
  const box = square(start, place(event));
  start = null;
  if (box.width > 1) classify(box).catch(complain);
});
whole.addEventListener("click", () => classifyWhole().catch(complain));
input.addEventListener("change", () => input.files[0] && openPhoto(input.files[0]).catch(complain));

function complain(error) {
  status.textContent = `This did not work: ${error.message}`;
}

let classifier;
try {
  classifier = await openModel();
  status.textContent = "Pick a photo, then drag a square over a face.";
  input.disabled = false;
} catch (error) {
  complain(error);
}
