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
    if (metadata["mien.format"] !== "1") throw new Error("this is no model of mien's format 1");
    const preprocessing = JSON.parse(metadata["mien.preprocessing"]);
    if (preprocessing.filter) {
      throw new Error(`the model wants the filter ${preprocessing.filter.name}, which is not here`);
    }
    const session = await ort.InferenceSession.create(bytes, { executionProviders: ["wasm"] });
    return new Classifier(session, JSON.parse(metadata["mien.labels"]), preprocessing);
  }

  constructor(session, labels, { size, color }) {
    Object.assign(this, { session, labels, size, color });
  }

  /**
   * Classify one face.
   * @param {{data: Uint8Array|Uint8ClampedArray, width: number, height: number}} image gray, RGB
   *   or opaque RGBA, such as an ImageData
   * @returns {Promise<Float32Array>} probabilities in the order of `labels`; their sum is 1
   */
  async probabilities({ data, width, height }) {
    const given = data.length / (width * height);
    const channels = this.color ? 3 : 1;
    const pixels = this.color ? toRgb(data, given) : toGray(data, given);
    const face = resize(pixels, width, height, channels, this.size);
    const shape = [1, this.size, this.size, ...(this.color ? [3] : [])];
    const images = new ort.Tensor("uint8", face, shape);
    const { probabilities } = await this.session.run({ images });
    return probabilities.data;
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
