// The runtime of the network, a script of its own, since most who open the page never need it.
import * as ort from "onnxruntime-web/wasm";

/** Start the network. runtime: bytes of the WebAssembly; model: bytes of the ONNX file.
 *  Returns what runs it: pixels of `normalize` to features and scores. */
window.mmfuseNetwork = async (runtime, model, size) => {
  ort.env.wasm.wasmBinary = runtime;
  ort.env.wasm.numThreads = 1;      // more would need headers that a plain server does not send
  const session = await ort.InferenceSession.create(model, { executionProviders: ["wasm"] });
  return async (pixels) => {
    const pictures = new ort.Tensor("float32", pixels, [1, 3, size, size]);
    const { features, scores } = await session.run({ pictures });
    return { features: features.data, scores: scores.data };
  };
};
