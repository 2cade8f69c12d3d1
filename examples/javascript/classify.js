// node classify.js MODEL.onnx FACE...: the probabilities of faces, one line of JSON each.
//
// Node decodes no pictures, so a FACE is binary netpbm (.pgm or .ppm), which every tool for
// pictures writes.

import { readFile } from "node:fs/promises";
import { Classifier } from "./mien.js";

const CHANNELS = { P5: 1, P6: 3 };

/** Read a binary netpbm file of 8 bits a sample. */
async function readNetpbm(file) {
  const bytes = await readFile(file);
  const header = /^(P[56])\s(?:#.*\s)*\s*(\d+)\s+(\d+)\s+255\s/.exec(bytes.toString("latin1", 0, 512));
  if (!header) throw new Error(`${file} is no binary .pgm or .ppm of 8 bits`);
  const [width, height] = [Number(header[2]), Number(header[3])];
  const data = bytes.subarray(header[0].length);
  if (data.length !== width * height * CHANNELS[header[1]]) throw new Error(`${file} is cut off`);
  return { data, width, height };
}

const [model, ...faces] = process.argv.slice(2);
if (!faces.length) {
  console.error("usage: node classify.js MODEL.onnx FACE.pgm|FACE.ppm...");
  process.exit(2);
}
const classifier = await Classifier.open(new Uint8Array(await readFile(model)));
for (const file of faces) {
  const scores = await classifier.probabilities(await readNetpbm(file));
  const emotions = Object.fromEntries(classifier.labels.map((label, i) => [label, scores[i]]));
  console.log(JSON.stringify({ file, emotions }));
}
