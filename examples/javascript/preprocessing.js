// What is done to a face before the network sees it, as mien.images.preprocessing does it.
//
// Pixels are Uint8 arrays, rows from the top, channels side by side: width * height * channels.

/**
 * Gray as Pillow's mode "L" (ITU-R 601-2, its integers exactly).
 * @param {Uint8Array|Uint8ClampedArray} pixels of 1 (gray), 3 (RGB) or 4 (RGBA, opaque) channels
 * @returns {Uint8Array} one channel
 */
export function toGray(pixels, channels) {
  const gray = new Uint8Array(pixels.length / channels);
  for (let i = 0, p = 0; i < gray.length; i++, p += channels) {
    gray[i] =
      channels === 1
        ? pixels[p]
        : (pixels[p] * 19595 + pixels[p + 1] * 38470 + pixels[p + 2] * 7471 + 0x8000) >> 16;
  }
  return gray;
}

/**
 * RGB of gray, RGB or opaque RGBA.
 * @returns {Uint8Array} three channels
 */
export function toRgb(pixels, channels) {
  const rgb = new Uint8Array((pixels.length / channels) * 3);
  for (let i = 0, p = 0; i < rgb.length; i += 3, p += channels) {
    for (let c = 0; c < 3; c++) rgb[i + c] = pixels[channels === 1 ? p : p + c];
  }
  return rgb;
}

/**
 * Resize as OpenCV: sides that shrink by area, then sides that grow by a bicubic curve.
 * @returns {Uint8Array} size * size * channels
 */
export function resize(pixels, width, height, channels, size) {
  const [w, h] = [Math.min(width, size), Math.min(height, size)];
  let result = pixels;
  if (w !== width || h !== height) {
    result = weighted(result, width, channels, areas(width, w), areas(height, h), halfUp(width, height, w, h));
  }
  if (w !== size || h !== size) {
    result = weighted(result, w, channels, cubics(w, size), cubics(h, size));
  }
  return result;
}

/** For each place of a shrunken side: where it begins in the old one, and its weights there. */
function areas(from, to) {
  const scale = from / to;
  return Array.from({ length: to }, (_, i) => {
    const [low, high] = [i * scale, Math.min((i + 1) * scale, from)];
    const first = Math.floor(low + 1e-9);
    const last = Math.max(first + 1, Math.ceil(high - 1e-9));
    const weights = [];
    for (let k = first; k < last; k++) {
      weights.push((Math.min(high, k + 1) - Math.max(low, k)) / (high - low));
    }
    return { first, weights };
  });
}

/** The same for a grown side: Keys' cubic with a = -0.75. */
function cubics(from, to) {
  const a = -0.75;
  return Array.from({ length: to }, (_, i) => {
    const place = (i + 0.5) * (from / to) - 0.5;
    const x = place - Math.floor(place);
    const near = (t) => ((a + 2) * t - (a + 3)) * t * t + 1;
    const far = (t) => ((a * t - 5 * a) * t + 8 * a) * t - 4 * a;
    const curve = [far(x + 1), near(x), near(1 - x)];
    curve.push(1 - curve[0] - curve[1] - curve[2]);
    return { first: Math.floor(place) - 1, weights: curve };
  });
}

/** Apply the weights of columns and rows; what lies outside is the pixel at the border. */
function weighted(pixels, width, channels, columns, rows, round = toEven) {
  const height = pixels.length / width / channels;
  const inside = (k, length) => Math.min(Math.max(k, 0), length - 1);
  const wide = new Float64Array(columns.length * height * channels);
  for (let y = 0, i = 0; y < height; y++) {
    for (const { first, weights } of columns) {
      for (let c = 0; c < channels; c++, i++) {
        weights.forEach((weight, k) => {
          wide[i] += weight * pixels[(y * width + inside(first + k, width)) * channels + c];
        });
      }
    }
  }
  const result = new Uint8ClampedArray(columns.length * rows.length * channels);
  const row = columns.length * channels;
  rows.forEach(({ first, weights }, y) => {
    for (let x = 0; x < row; x++) {
      let sum = 0;
      weights.forEach((weight, k) => {
        sum += weight * wide[inside(first + k, height) * row + x];
      });
      result[y * row + x] = round(Math.fround(sum));
    }
  });
  return new Uint8Array(result.buffer);
}

/** Round to the nearest whole number, halves to the even one. */
function toEven(value) {
  const near = Math.round(value);
  return near - value === 0.5 && near % 2 !== 0 ? near - 1 : near;
}

/** OpenCV rounds halves up where both sides are halved, and to the even number elsewhere. */
function halfUp(width, height, w, h) {
  return width === 2 * w && height === 2 * h ? Math.round : toEven;
}
