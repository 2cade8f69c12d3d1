// The page: which picture is shown, and what is said about it.

import { analyze, ServerError, setToken, takeToken } from "./api.js";
import { Camera, obstacle, rest } from "./camera.js";
import { clear, describe, show } from "./view.js";

const $ = (id) => document.getElementById(id);
const file = $("file");
const cameraButton = $("camera");
const photo = $("photo");
const video = $("video");
const stage = $("stage");

const ANNOUNCE = 3000; // milliseconds: how often the webcam's results are said aloud, at most
const PATIENCE = 5; // answers "busy" in a row before the webcam gives up

let work = new AbortController(); // what is under way; aborted when something else begins
let address = ""; // of the photo that is shown
let again = null; // what to repeat once there is a token

function say(text) {
  if ($("status").textContent !== text) $("status").textContent = text;
}

function fail(error) {
  if (error.name === "AbortError") return;
  if (error.status === 401) {
    error = new Error("Type in its token, which was printed where the server was started.");
    $("token-form").hidden = false;
    $("token").focus();
  }
  say("");
  $("error").textContent = error.message;
  $("error").hidden = false;
}

/** End what is under way and return the signal of what begins. */
function begin() {
  work.abort();
  work = new AbortController();
  $("error").hidden = true;
  $("error").textContent = "";
  clear();
  stage.hidden = true;
  return work.signal;
}

async function showPhoto(blob) {
  again = () => showPhoto(blob);
  const signal = begin();
  URL.revokeObjectURL(address);
  address = URL.createObjectURL(blob);
  photo.alt = blob.name ? `Your photo ${blob.name}` : "Your photo";
  photo.src = address;
  // Not every format that the server reads can be shown by a browser.
  const shown = await photo.decode().then(() => true, () => false);
  if (signal.aborted) return;
  photo.hidden = !shown;
  stage.hidden = !shown;
  document.body.classList.add("busy");
  say("Looking for faces …");
  try {
    const picture = await analyze(blob, signal);
    show(picture);
    say(describe(picture));
  } catch (error) {
    fail(error);
  } finally {
    if (!signal.aborted) document.body.classList.remove("busy");
  }
}

async function runCamera() {
  again = runCamera;
  const signal = begin();
  let camera;
  cameraButton.setAttribute("aria-pressed", "true");
  cameraButton.textContent = "Stop the webcam";
  signal.addEventListener("abort", () => {
    camera?.stop();
    video.hidden = true;
    cameraButton.setAttribute("aria-pressed", "false");
    cameraButton.textContent = "Use the webcam";
  });
  try {
    if (obstacle()) throw new Error(obstacle());
    say("Waiting for the webcam …");
    camera = await Camera.open(video, () => stopCamera(new Error("The webcam is gone.")));
    if (signal.aborted) {
      camera.stop();
      return;
    }
    photo.hidden = true;
    video.hidden = false;
    stage.hidden = false;
    await follow(camera, signal);
  } catch (error) {
    if (!signal.aborted) stopCamera(error);
  }
}

/** Analyze frames until the signal. */
async function follow(camera, signal) {
  let said = -Infinity;
  let refused = 0;
  while (!signal.aborted) {
    const start = performance.now();
    try {
      const picture = await analyze(await camera.frame(), signal);
      if (signal.aborted) return;
      refused = 0;
      show(picture, true);
      if (start - said > ANNOUNCE) {
        say(describe(picture));
        said = start;
      }
    } catch (error) {
      if (!(error instanceof ServerError && error.retryAfter) || ++refused > PATIENCE) throw error;
      await new Promise((done) => setTimeout(done, 1000 * error.retryAfter));
    }
    await rest(start);
  }
}

function stopCamera(error) {
  begin();
  say("");
  if (error) fail(error);
}

function take(files) {
  const [first] = files;
  if (first) showPhoto(first);
}

takeToken();
$("host").textContent = location.host;
if (obstacle()) {
  cameraButton.disabled = true;
  $("ways").append(` ${obstacle()}`);
}
$("choose").addEventListener("click", () => file.click());
file.addEventListener("change", () => {
  take(file.files);
  file.value = ""; // so that the same file can be chosen again
});
cameraButton.addEventListener("click", () => {
  if (cameraButton.getAttribute("aria-pressed") === "true") stopCamera();
  else runCamera();
});
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
  take(event.dataTransfer?.files ?? []);
});
window.addEventListener("pagehide", () => work.abort());
