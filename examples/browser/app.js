import { env, pipeline, RawImage } from "./node_modules/@huggingface/transformers/dist/transformers.min.js";
import { resizedSize, resizeRgb } from "./resize.js";

// Everything comes from the folder of this page.
env.allowRemoteModels = false;
env.allowLocalModels = true;
env.localModelPath = new URL(".", location.href).pathname;
env.backends.onnx.wasm.wasmPaths = new URL("./node_modules/onnxruntime-web/dist/", location.href).href;

const MODEL = "model";
const element = (id) => document.getElementById(id);
const json = async (name) => (await fetch(`${MODEL}/${name}`)).json();
const loaded = new Map();
let photo = null;
let turns = 0; // predictions begun; only the last is shown

function say(text, isError = false) {
  element("status").textContent = text;
  element("status").className = isError ? "error" : "";
}

/** The pipeline for a precision and a device, made once. */
function estimator(dtype, device) {
  const key = `${dtype} ${device}`;
  if (!loaded.has(key)) {
    const load = async () => {
      const estimate = await pipeline("depth-estimation", MODEL, { dtype, device });
      estimate.processor.image_processor.do_resize = false; // done here, see resize.js
      return estimate;
    };
    loaded.set(key, load());
    loaded.get(key).catch(() => loaded.delete(key));
  }
  return loaded.get(key);
}

/** Shows a picture file, upright, colours as stored, and gives it as RGB. */
async function decode(blob) {
  const bitmap = await createImageBitmap(blob, { colorSpaceConversion: "none", imageOrientation: "from-image" });
  const { width, height } = bitmap;
  const canvas = Object.assign(element("original"), { width, height });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.fillStyle = "white";
  context.fillRect(0, 0, width, height);
  context.drawImage(bitmap, 0, 0);
  return new RawImage(context.getImageData(0, 0, width, height).data, width, height, 4).rgb();
}

/** Draws a map: dark blue to yellow from its smallest to its largest value. */
function draw(values, width, height) {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) {
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  const colours = [[13, 8, 65], [91, 21, 110], [188, 55, 84], [249, 142, 9], [252, 245, 150]];
  const image = new ImageData(width, height);
  values.forEach((value, index) => {
    const position = ((value - low) / (high - low || 1)) * (colours.length - 1);
    const before = Math.min(Math.floor(position), colours.length - 2);
    for (let channel = 0; channel < 3; channel++) {
      const [a, b] = [colours[before][channel], colours[before + 1][channel]];
      image.data[4 * index + channel] = a + (b - a) * (position - before);
    }
    image.data[4 * index + 3] = 255;
  });
  Object.assign(element("depth"), { width, height }).getContext("2d").putImageData(image, 0, 0);
}

async function predict() {
  if (!photo) return;
  const turn = ++turns;
  try {
    const [dtype, device] = [element("dtype").value, element("device").value];
    say("Loading the model …");
    const estimate = await estimator(dtype, device);
    const { data, width, height } = await decode(photo);
    const [newWidth, newHeight] = resizedSize(width, height, await json("preprocessor_config.json"));
    say(`Predicting at ${newWidth}x${newHeight} …`);
    const image = new RawImage(resizeRgb(data, width, height, newWidth, newHeight), newWidth, newHeight, 3);
    const start = performance.now();
    const { predicted_depth: map } = await estimate(image);
    if (turn !== turns) return; // another photograph or model was chosen since
    const seconds = ((performance.now() - start) / 1000).toFixed(2);
    draw(map.data, newWidth, newHeight);
    say(`${newWidth}x${newHeight}, ${dtype} on ${device}: ${seconds} s`);
    const detail = { values: map.data, width: newWidth, height: newHeight, dtype, device };
    window.dispatchEvent(new CustomEvent("prediction", { detail }));
  } catch (error) {
    console.error(error);
    say(`It did not work: ${error.message}`, true);
  }
}

element("photo").addEventListener("change", (event) => {
  photo = event.target.files[0] ?? null;
  predict();
});
element("dtype").addEventListener("change", predict);
element("device").addEventListener("change", predict);
window.addEventListener("dragover", (event) => event.preventDefault());
window.addEventListener("drop", (event) => {
  event.preventDefault();
  photo = event.dataTransfer.files[0] ?? photo;
  predict();
});

if (await navigator.gpu?.requestAdapter()) element("device").add(new Option("graphics card (WebGPU)", "webgpu"));
try {
  const { output } = (await json("anydepth_export.json")).description;
  element("meaning").textContent = `It predicts ${output.meaning}.`;
  element("caption").textContent = `${output.prediction_type}: dark is ${
    output.prediction_type === "disparity" ? "far, bright is near" : "near, bright is far"
  }`;
} catch {
  say("There is no model yet: `anydepth export --transformers-js --output model` writes it beside this page.", true);
}
// `?photo=picture.jpg` shows a picture from this page's folder at once
const name = new URLSearchParams(location.search).get("photo");
if (name) {
  const response = await fetch(name);
  if (response.ok) photo = await response.blob();
  await predict();
}
