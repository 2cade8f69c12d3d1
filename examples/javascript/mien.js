// A model that `mien export` wrote, with onnxruntime-web: pixels in, seven probabilities out.

import * as ort from "onnxruntime-web";
import { resize, toGray, toRgb } from "./preprocessing.js";

export class Classifier {
  /**
   * Open a model.
   * @param {Uint8Array} bytes the whole .onnx file
   * @returns {Promise<Classifier>} with `labels`, the emotions in the order of the probabilities
   */
  static async open(bytes) {
    const metadata = readMetadata(bytes);
    const input = readInput(metadata);
    const session = await ort.InferenceSession.create(bytes, { executionProviders: ["wasm"] });
    return new Classifier(session, JSON.parse(metadata["mien.labels"]), input);
  }

  constructor(session, labels, { color, size }) {
    Object.assign(this, { session, labels, color, size });
  }

  /**
   * Classify one face.
   * @param {{data: Uint8Array|Uint8ClampedArray, width: number, height: number}} image gray, RGB
   *   or opaque RGBA, such as an ImageData
   * @returns {Promise<Float32Array>} probabilities in the order of `labels`; their sum is 1
   */
  async probabilities({ data, width, height }) {
    const given = data.length / (width * height);
    let face = this.color ? toRgb(data, given) : toGray(data, given);
    let shape = [height, width];
    if (this.size !== null) {
      face = resize(face, width, height, this.color ? 3 : 1, this.size);
      shape = [this.size, this.size];
    }
    if (this.color) shape.push(3);
    const images = new ort.Tensor("uint8", face, [1, ...shape]);
    const { probabilities } = await this.session.run({ images });
    return probabilities.data;
  }
}

/** What a model takes: RGB or gray, and faces of which size; null where it resizes them itself. */
function readInput(metadata) {
  switch (metadata["mien.format"]) {
    case "1": {
      const { color, size, filter } = JSON.parse(metadata["mien.preprocessing"]);
      if (!filter) return { color, size };
      throw new Error(`the model wants the filter ${filter.name}: export it with --crops`);
    }
    case "crops-1":
      return { color: JSON.parse(metadata["mien.input"]).crops === "rgb", size: null };
    default:
      throw new Error("this is no model of mien, or one of a newer format");
  }
}

/**
 * Read `metadata_props` of a serialized ModelProto, which onnxruntime-web does not hand out.
 * @returns {Object<string, string>}
 */
export function readMetadata(bytes) {
  const metadata = {};
  for (const [field, entry] of fields(bytes)) {
    if (field !== METADATA_PROPS) continue;
    const [key, value] = [...fields(entry)].map(([, text]) => new TextDecoder().decode(text));
    metadata[key] = value;
  }
  return metadata;
}

const METADATA_PROPS = 14;
const [VARINT, FIXED64, BYTES, FIXED32] = [0, 1, 2, 5];

/** Yield number and content of each field of a protobuf message that holds bytes. */
function* fields(message) {
  let at = 0;
  const varint = () => {
    let [value, factor, byte] = [0, 1, 0];
    do {
      if (at >= message.length) throw new Error("the file is no ONNX model, or cut off");
      byte = message[at++];
      value += (byte & 0x7f) * factor;
      factor *= 128;
    } while (byte & 0x80);
    return value;
  };
  while (at < message.length) {
    const tag = varint();
    const kind = tag % 8;
    if (kind === VARINT) varint();
    else if (kind === FIXED64) at += 8;
    else if (kind === FIXED32) at += 4;
    else if (kind === BYTES) {
      const length = varint();
      yield [Math.floor(tag / 8), message.subarray(at, at + length)];
      at += length;
    } else throw new Error("the file is no ONNX model");
  }
}
