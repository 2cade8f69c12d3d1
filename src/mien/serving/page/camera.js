// The webcam: one frame at a time goes to the server, the next when the answer is there.

const LONGEST = 640; // the longer side of what is sent, in pixels
const SHORTEST_ROUND = 66; // milliseconds: at most 15 frames a second, so that others get a turn

/** Return why the webcam cannot be used here, or "". */
export function obstacle() {
  if (!window.isSecureContext) {
    return "Browsers allow the webcam only on https pages and on this machine’s own address.";
  }
  return navigator.mediaDevices?.getUserMedia ? "" : "This browser gives no access to a webcam.";
}

/** The stream of a webcam in a video element, until it is stopped. */
export class Camera {
  #track;
  #canvas = document.createElement("canvas");

  /**
   * Ask for the webcam; throw an Error whose message can be shown.
   * `device`: its id, or undefined for the one that faces the user. `ended`: it was unplugged.
   */
  static async open(video, device, ended) {
    const which = device ? { deviceId: { exact: device } } : { facingMode: "user" };
    const wanted = { width: { ideal: 640 }, height: { ideal: 480 }, ...which };
    let stream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({ video: wanted, audio: false });
    } catch (error) {
      throw new Error(REASONS[error.name] ?? `The webcam cannot be used: ${error.message}`);
    }
    const camera = new Camera();
    [camera.#track] = stream.getVideoTracks();
    camera.#track.addEventListener("ended", ended);
    camera.video = video;
    video.srcObject = stream;
    await video.play();
    return camera;
  }

  /** Whether its picture is to be shown as in a mirror. */
  get mirrored() {
    return this.#track.getSettings().facingMode !== "environment";
  }

  /** Return the id of the machine's next camera, or undefined where this is the only one. */
  async next() {
    const devices = await navigator.mediaDevices.enumerateDevices();
    const ids = devices.filter((one) => one.kind === "videoinput").map((one) => one.deviceId);
    const here = ids.indexOf(this.#track.getSettings().deviceId);
    return ids.length > 1 ? ids[(here + 1) % ids.length] : undefined;
  }

  /** Return the present frame as a JPEG. */
  async frame() {
    const { videoWidth: width, videoHeight: height } = this.video;
    const scale = Math.min(1, LONGEST / Math.max(width, height));
    this.#canvas.width = Math.round(width * scale);
    this.#canvas.height = Math.round(height * scale);
    const context = this.#canvas.getContext("2d");
    context.drawImage(this.video, 0, 0, this.#canvas.width, this.#canvas.height);
    return new Promise((done, failed) =>
      this.#canvas.toBlob(
        (blob) => (blob ? done(blob) : failed(new Error("The webcam gives no picture."))),
        "image/jpeg",
        0.9,
      ),
    );
  }

  stop() {
    this.#track.stop();
    this.video.srcObject = null;
  }
}

/** Wait until a round that began at `start` has taken its time. */
export function rest(start) {
  const left = Math.max(0, SHORTEST_ROUND - (performance.now() - start));
  return new Promise((done) => setTimeout(done, left));
}

const REASONS = {
  NotAllowedError:
    "The browser does not let this page use the webcam. Allow it beside the address, then try again.",
  NotFoundError: "There is no webcam.",
  NotReadableError: "The webcam is in use by another program.",
};
