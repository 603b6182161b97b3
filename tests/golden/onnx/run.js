// Writes what ONNX Runtime answers: node run.js <model.onnx> <input.json> ..., without rewriting the
// graph, so that every operator is computed as it stands.
const ort = require('onnxruntime-node');
const fs = require('fs');
(async () => {
  for (let i = 2; i + 1 < process.argv.length; i += 2) {
    const [model, file] = [process.argv[i], process.argv[i + 1]];
    const session = await ort.InferenceSession.create(model, {graphOptimizationLevel: 'disabled'});
    const data = JSON.parse(fs.readFileSync(file));
    const x = new ort.Tensor('float32', Float32Array.from(data.x), data.shape);
    const result = await session.run({[session.inputNames[0]]: x});
    const y = result[session.outputNames[0]];
    data.y_shape = y.dims;
    data.y = Array.from(y.data);
    fs.writeFileSync(file, JSON.stringify(data) + '\n');
    console.log(model, y.dims);
  }
})();
