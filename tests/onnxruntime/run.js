// Runs the models of a folder in ONNX Runtime: node run.js FOLDER MODULES. FOLDER/cases.json says
// which, the program next to this one wrote it. Each output becomes a file; results.json names them.
'use strict';
const fs = require('fs');
const path = require('path');
const [folder, modules] = process.argv.slice(2);
const ort = require(path.join(modules, 'onnxruntime-node'));

// Without these instructions int8 kernels add two products in 16 bits, and saturate.
const hasWideSums = /vnni/.test(fs.readFileSync('/proc/cpuinfo', 'utf8'));

const file = (name) => path.join(folder, name);

async function run(test) {
  const options = {logSeverityLevel: 3};
  if (!test.default_settings) {
    options.executionProviders = ['cpu'];
    options.graphOptimizationLevel = test.optimize ? 'all' : 'disabled';
  }
  if (!test.default_settings || !hasWideSums)
    options.extra = {session: {x64quantprecision: '1'}};
  const session = await ort.InferenceSession.create(file(test.model), options);
  const bytes = fs.readFileSync(file(test.input));
  const all = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
  const [images, ...rest] = test.shape;
  const size = all.length / images;
  const parts = {};
  for (let first = 0; first < images; first += test.batch) {
    const last = Math.min(first + test.batch, images);
    const x = new ort.Tensor('float32', all.slice(first * size, last * size),
                             [last - first, ...rest]);
    const result = await session.run({[session.inputNames[0]]: x});
    for (const [name, y] of Object.entries(result)) {
      parts[name] ??= {type: y.type, dims: y.dims.slice(1), bytes: []};
      parts[name].bytes.push(Buffer.from(y.data.buffer, y.data.byteOffset, y.data.byteLength));
    }
  }
  const outputs = {};
  Object.entries(parts).forEach(([name, y], i) => {
    const output = `${test.name}.${i}.out`;
    fs.writeFileSync(file(output), Buffer.concat(y.bytes));
    outputs[name] = {file: output, type: y.type, dims: [images, ...y.dims]};
  });
  return outputs;
}

(async () => {
  const results = {};
  for (const test of JSON.parse(fs.readFileSync(file('cases.json'))))
    results[test.name] = await run(test);
  fs.writeFileSync(file('results.json'), JSON.stringify(results, null, 1));
})().catch((error) => {
  console.error(error.message);
  process.exit(1);
});
