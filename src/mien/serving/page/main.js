// The page: which picture is shown, and what is said about it.

import { analyze, ServerError, setToken, takeToken } from "./api.js";
import { Camera, obstacle, rest } from "./camera.js";
import { clear, describe, show, shownPicture } from "./view.js";

const $ = (id) => document.getElementById(id);
const file = $("file");
const cameraButton = $("camera");
const photo = $("photo");
const video = $("video");

const ANNOUNCE = 3000; // milliseconds: how often the webcam's results are said aloud, at most
const PATIENCE = 5; // answers "busy" in a row before the webcam gives up

let work = new AbortController(); // what is under way; aborted when something else begins
let address = ""; // of the photo that is shown
let again = null; // what to repeat once there is a token, or on demand

function say(text) {
  if ($("status").textContent !== text) $("status").textContent = text;
}

function fail(error) {
  if (error.name === "AbortError") return;
  say("");
  $("retry").hidden = !(error instanceof ServerError) || (error.status > 0 && !error.retryAfter);
  $("error-text").textContent = error.message;
  $("error").hidden = false;
  if (error.status === 401) {
    $("error-text").textContent = "Type in the token that the server printed when it was started.";
    $("token-form").hidden = false;
    $("token").focus();
  }
}

/** End what is under way and return the signal of what begins. */
function begin() {
  work.abort();
  work = new AbortController();
  $("error").hidden = true;
  document.body.classList.remove("busy");
  clear();
  setStage(null);
  return work.signal;
}

/** Put the photo or the video on the stage, or nothing. */
function setStage(shown) {
  for (const one of [photo, video]) one.hidden = one !== shown;
  $("frame").hidden = shown === null;
  $("empty").hidden = shown !== null;
}

async function showPhoto(blob, { search = true, alt = "", note = "" } = {}) {
  again = () => showPhoto(blob, { search, alt, note });
  const signal = begin();
  URL.revokeObjectURL(address);
  address = URL.createObjectURL(blob);
  photo.alt = alt || `Your photo ${blob.name ?? ""}`.trim();
  photo.src = address;
  // Not every format that the server reads can be shown by a browser.
  const shown = await photo.decode().then(() => true, () => false);
  if (signal.aborted) return;
  setStage(shown ? photo : null);
  $("cut").hidden = !search;
  $("whole").onclick = () => showPhoto(blob, { search: false, alt });
  document.body.classList.add("busy");
  say("Looking for faces …");
  try {
    const picture = await analyze(blob, signal, search);
    show(picture);
    say(describe(picture) + note);
  } catch (error) {
    fail(error);
  } finally {
    if (!signal.aborted) document.body.classList.remove("busy");
  }
}

async function runCamera(device) {
  again = () => runCamera(device);
  const signal = begin();
  let camera;
  cameraButton.setAttribute("aria-pressed", "true");
  cameraButton.textContent = "Stop the webcam";
  signal.addEventListener("abort", () => {
    camera?.stop();
    $("live").hidden = true;
    $("other").hidden = true;
    cameraButton.setAttribute("aria-pressed", "false");
    cameraButton.textContent = "Use the webcam";
  });
  try {
    if (obstacle()) throw new Error(obstacle());
    say("Waiting for the webcam …");
    camera = await Camera.open(video, device, () => stopCamera(new Error("The webcam is gone.")));
    if (signal.aborted) {
      camera.stop();
      return;
    }
    video.classList.toggle("mirrored", camera.mirrored);
    setStage(video);
    $("cut").hidden = true;
    const next = await camera.next();
    $("other").hidden = !next || signal.aborted;
    $("other").onclick = () => runCamera(next);
    await follow(camera, signal);
  } catch (error) {
    if (!signal.aborted) stopCamera(error);
  }
}

/** Analyze frames until the signal. */
async function follow(camera, signal) {
  let said = -Infinity;
  let refused = 0;
  let second = 0; // how long a round takes, smoothed
  while (!signal.aborted) {
    const start = performance.now();
    try {
      const picture = await analyze(await camera.frame(), signal);
      if (signal.aborted) return;
      refused = 0;
      show(picture, camera.mirrored);
      if (start - said > ANNOUNCE) {
        say(describe(picture));
        said = start;
      }
    } catch (error) {
      if (!(error instanceof ServerError && error.retryAfter) || ++refused > PATIENCE) throw error;
      await new Promise((done) => setTimeout(done, 1000 * error.retryAfter));
    }
    await rest(start);
    const took = (performance.now() - start) / 1000;
    second = second ? 0.9 * second + 0.1 * took : took;
    $("live").textContent = `Live, ${(1 / second).toFixed(second > 0.5 ? 1 : 0)} a second`;
    $("live").hidden = signal.aborted;
  }
}

function stopCamera(error) {
  begin();
  say("");
  if (error) fail(error);
}

function take(files) {
  const [first] = files;
  const note = files.length > 1 ? ` It is the first of ${files.length} files.` : "";
  if (first) showPhoto(first, { note });
}

async function showSample() {
  again = showSample;
  const answer = await fetch("page/sample.jpg").catch(() => null);
  if (!answer?.ok) fail(new ServerError(0, "The server does not answer. Is it still running?"));
  else showPhoto(await answer.blob(), { alt: "NASA’s portrait of the astronaut Eileen Collins" });
}

function saveResults() {
  const link = document.createElement("a");
  const text = JSON.stringify(shownPicture(), null, 2);
  link.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  link.download = "faces.json";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

takeToken();
$("host").textContent = location.host;
if (obstacle()) {
  cameraButton.disabled = true;
  $("ways").textContent = obstacle();
}
for (const id of ["choose", "empty"]) $(id).addEventListener("click", () => file.click());
file.addEventListener("change", () => {
  take(file.files);
  file.value = ""; // so that the same file can be chosen again
});
cameraButton.addEventListener("click", () => {
  if (cameraButton.getAttribute("aria-pressed") === "true") stopCamera();
  else runCamera();
});
$("sample").addEventListener("click", (event) => {
  event.stopPropagation(); // around it a click opens the chooser
  showSample();
});
$("save").addEventListener("click", saveResults);
$("retry").addEventListener("click", () => again?.());
$("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  setToken($("token").value.replace(/[^!-~]/g, "")); // all that a header may have
  $("token").value = "";
  $("token-form").hidden = true;
  again?.();
});
document.addEventListener("paste", (event) => take(event.clipboardData?.files ?? []));
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  document.body.classList.add("dragging");
});
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) document.body.classList.remove("dragging");
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("dragging");
  const files = event.dataTransfer?.files ?? [];
  if (files.length) take(files);
  else fail(new Error("That is no file: save the picture first, or copy it and paste it here."));
});
window.addEventListener("pagehide", () => work.abort());
