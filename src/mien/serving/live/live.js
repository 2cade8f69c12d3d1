// The live view: asks for one frame after the other, and shows the latest there is.

import { authorization, takeToken } from "../api.js";
import { describe, show } from "../view.js";

const ANNOUNCE = 3000; // milliseconds: how often results are said aloud, at most
const NEWLINE = 10;

const $ = (id) => document.getElementById(id);
const photo = $("photo");

/** Return the frame after one: its record, its picture or null; nothing if there is none yet. */
async function frameAfter(number) {
  const response = await fetch(`frame?after=${number}`, { headers: authorization() });
  if (response.status === 204) return null;
  if (response.status === 401) throw new Error("Open the whole address that mien video printed.");
  if (!response.ok) throw new Error(`mien video answers ${response.status}.`);
  const bytes = new Uint8Array(await response.arrayBuffer());
  const end = bytes.indexOf(NEWLINE);
  const record = JSON.parse(new TextDecoder().decode(bytes.subarray(0, end)));
  const picture = bytes.subarray(end + 1);
  return { record, blob: picture.length ? new Blob([picture], { type: "image/jpeg" }) : null };
}

async function showPicture(blob) {
  const before = photo.src;
  photo.src = URL.createObjectURL(blob);
  await photo.decode();
  $("stage").hidden = false;
  if (before) URL.revokeObjectURL(before);
}

function fail(message) {
  $("error").textContent = message;
  $("error").hidden = false;
}

async function run() {
  let number = 0;
  let said = -Infinity;
  for (;;) {
    const frame = await frameAfter(number);
    if (frame === null) continue;
    const { record, blob } = frame;
    if (record.ended) return;
    number = record.number;
    $("source").textContent = record.image.split(/[\\/]/).pop();
    $("time").textContent = `· ${record.seconds.toFixed(1)} s, frame ${record.frame}`;
    if (record.reason) fail(record.reason);
    if (blob === null) continue;
    await showPicture(blob);
    show(record);
    if (performance.now() - said > ANNOUNCE) {
      $("status").textContent = describe(record);
      said = performance.now();
    }
  }
}

takeToken();
try {
  await run();
  $("status").textContent = "The video has ended.";
} catch (error) {
  // fetch raises a TypeError where nobody answers any more.
  if (error instanceof TypeError) $("status").textContent = "mien video has ended.";
  else fail(error.message);
}
