// The webcam: one frame at a time goes to the server, the next when the answer is there.

const LONGEST = 640; // the longer side of what is sent, in pixels
const SHORTEST_ROUND = 66; // milliseconds: at most 15 frames a second, so that others get a turn

/** Return why the webcam cannot be used here, or "". */
export function obstacle() {
  if (!window.isSecureContext) {
    return "Browsers allow the webcam only on https pages and on this machine's own address.";
  }
  return navigator.mediaDevices?.getUserMedia ? "" : "This browser gives no access to a webcam.";
}

/** The stream of a webcam in a video element, until it is stopped. */
export class Camera {
  #stream;
  #canvas = document.createElement("canvas");

  /** Ask for the webcam; throw an Error whose message can be shown. `ended`: it was unplugged. */
  static async open(video, ended) {
    let stream;
    try {
      const wanted = { width: { ideal: 640 }, height: { ideal: 480 }, facingMode: "user" };
      stream = await navigator.mediaDevices.getUserMedia({ video: wanted, audio: false });
    } catch (error) {
      throw new Error(REASONS[error.name] ?? `The webcam cannot be used: ${error.message}`);
    }
    const camera = new Camera();
    camera.#stream = stream;
    camera.video = video;
    stream.getVideoTracks()[0].addEventListener("ended", ended);
    video.srcObject = stream;
    await video.play();
    return camera;
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
    for (const track of this.#stream.getTracks()) track.stop();
    this.video.srcObject = null;
  }
}

/** Wait until a round that began at `start` has taken its time. */
export function rest(start) {
  const left = Math.max(0, SHORTEST_ROUND - (performance.now() - start));
  return new Promise((done) => setTimeout(done, left));
}

const REASONS = {
  NotAllowedError: "The webcam may not be used: the browser was told to refuse it.",
  NotFoundError: "There is no webcam.",
  NotReadableError: "The webcam is in use by another program.",
};
