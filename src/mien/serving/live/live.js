// The live view: asks for one frame after the other, and shows the latest there is.

const KEY = "mien-live-token";
const ANNOUNCE = 3000; // milliseconds: how often results are said aloud, at most
const NEWLINE = 10;

const $ = (id) => document.getElementById(id);
const photo = $("photo");
const faces = $("faces");

/** Return the token: from the address (#token=…), from where it is removed, or as it was before. */
function takeToken() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given) {
    sessionStorage.setItem(KEY, given);
    history.replaceState(null, "", location.pathname);
  }
  return sessionStorage.getItem(KEY) ?? "";
}

/** Return the frame after one: its record, its picture or null; nothing if there is none yet. */
async function frameAfter(number, token) {
  const headers = { Authorization: `Bearer ${token}` };
  const response = await fetch(`frame?after=${number}`, { headers });
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

function html(name, className = "", ...content) {
  const made = document.createElement(name);
  if (className) made.className = className;
  made.append(...content);
  return made;
}

/** Show each face as a list item with its seven bars; items are kept, so that the bars move. */
function showFaces(list) {
  while (faces.children.length > list.length) faces.lastChild.remove();
  list.forEach((face, index) => {
    const item = faces.children[index] ?? faces.appendChild(newItem(face));
    item.dataset.emotion = face.emotion;
    item.firstChild.textContent = `${face.track}. ${verdict(face)} ${percent(face.confidence)}`;
    for (const row of item.lastChild.children) {
      const score = face.scores[row.dataset.emotion];
      row.classList.toggle("top", row.dataset.emotion === face.emotion);
      row.querySelector("i").style.width = `${100 * score}%`;
      row.querySelector("b").textContent = percent(score);
    }
  });
  $("results").hidden = list.length === 0;
}

function newItem(face) {
  const item = html("li", "", html("h3"), html("dl"));
  for (const emotion of Object.keys(face.scores)) {
    const value = html("dd", "", html("span", "bar", html("i")), html("b"));
    const row = html("div", "", html("dt", "", emotion), value);
    row.dataset.emotion = emotion;
    item.lastChild.append(row);
  }
  return item;
}

function verdict(face) {
  return `${face.uncertain ? "perhaps " : ""}${face.emotion}`;
}

function percent(value) {
  return `${Math.round(100 * value)}\u00a0%`;
}

function describe(list) {
  if (list.length === 0) return "No face was found.";
  const parts = list.map((face) => `${face.track} ${verdict(face)}`);
  return `${list.length === 1 ? "One face" : `${list.length} faces`}: ${parts.join(", ")}.`;
}

function fail(message) {
  $("error").textContent = message;
  $("error").hidden = false;
}

async function run(token) {
  let number = 0;
  let said = -Infinity;
  for (;;) {
    const frame = await frameAfter(number, token);
    if (frame === null) continue;
    const { record, blob } = frame;
    if (record.ended) return;
    number = record.number;
    $("source").textContent = record.image.split(/[\\/]/).pop();
    $("time").textContent = `· ${record.seconds.toFixed(1)} s, frame ${record.frame}`;
    if (record.reason) fail(record.reason);
    if (blob === null) continue;
    await showPicture(blob);
    showFaces(record.faces);
    if (performance.now() - said > ANNOUNCE) {
      $("status").textContent = describe(record.faces);
      said = performance.now();
    }
  }
}

try {
  await run(takeToken());
  $("status").textContent = "The video has ended.";
} catch (error) {
  // fetch raises a TypeError where nobody answers any more.
  if (error instanceof TypeError) $("status").textContent = "mien video has ended.";
  else fail(error.message);
}
