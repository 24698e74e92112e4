// Antialiased bicubic resizing with the 15-bit weights of torch and Pillow: the network sees the pixels that it sees
// in Python, where a canvas's own scaling would give others.

const cubic = (x) => (x < 1 ? (1.5 * x - 2.5) * x * x + 1 : x < 2 ? ((-0.5 * x + 2.5) * x - 4) * x + 2 : 0);

/** First tap and integer weights of each output pixel along an axis of `length` pixels resized to `size`. */
function axisWeights(length, size) {
  const scale = length / size;
  const stretch = Math.max(scale, 1);
  const windows = [];
  let largest = 0;
  for (let i = 0; i < size; i++) {
    const centre = scale * (i + 0.5);
    const first = Math.max(Math.trunc(centre - 2 * stretch + 0.5), 0);
    const last = Math.min(Math.trunc(centre + 2 * stretch + 0.5), length);
    let weights = Array.from({ length: last - first }, (_, j) => cubic(Math.abs(first + j - centre + 0.5) / stretch));
    const total = weights.reduce((a, b) => a + b, 0);
    weights = weights.map((weight) => weight / total);
    largest = Math.max(largest, ...weights);
    windows.push({ first, weights });
  }
  let precision = 0;
  while (precision < 22 && Math.trunc(0.5 + largest * 2 ** (precision + 1)) < 2 ** 15) precision++;
  for (const window of windows) {
    window.weights = window.weights.map((w) => Math.trunc(w * 2 ** precision + (w < 0 ? -0.5 : 0.5)));
  }
  return { windows, precision };
}

/** Resizes RGB bytes `(height, width, 3)` along one axis. */
function resizeAxis(data, width, height, size, horizontal) {
  const { windows, precision } = axisWeights(horizontal ? width : height, size);
  const [newWidth, newHeight] = horizontal ? [size, height] : [width, size];
  const step = horizontal ? 3 : 3 * width;
  const result = new Uint8ClampedArray(newWidth * newHeight * 3);
  for (let y = 0; y < newHeight; y++) {
    for (let x = 0; x < newWidth; x++) {
      const { first, weights } = windows[horizontal ? x : y];
      const start = horizontal ? (y * width + first) * 3 : (first * width + x) * 3;
      for (let channel = 0; channel < 3; channel++) {
        let total = 2 ** (precision - 1);
        for (let tap = 0; tap < weights.length; tap++) total += weights[tap] * data[start + tap * step + channel];
        result[(y * newWidth + x) * 3 + channel] = total >> precision;
      }
    }
  }
  return result;
}

/** Resizes RGB bytes `(height, width, 3)` to `newHeight` x `newWidth`, columns first. */
export function resizeRgb(data, width, height, newWidth, newHeight) {
  if (newWidth !== width) data = resizeAxis(data, width, height, newWidth, true);
  if (newHeight !== height) data = resizeAxis(data, newWidth, height, newHeight, false);
  return data;
}

/** Width and height that the image processor of the package resizes to; `settings` is its `preprocessor_config.json`. */
export function resizedSize(width, height, { size, ensure_multiple_of: multiple }) {
  let [newWidth, newHeight] = [size.width, size.height];
  if (!(newWidth && newHeight)) {
    let scale = size.shortest_edge ? size.shortest_edge / Math.min(width, height) : Infinity;
    if (size.longest_edge) scale = Math.min(scale, size.longest_edge / Math.max(width, height));
    [newWidth, newHeight] = [width * scale, height * scale];
  }
  return [newWidth, newHeight].map((side) => Math.max(multiple, Math.trunc(side / multiple + 0.5) * multiple));
}
