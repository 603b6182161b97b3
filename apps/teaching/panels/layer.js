'use strict';
// One layer as hardware sees it: a scale for each channel, and sums of products of codes.

/// Returns the encodings of a weight [O, ...]: one for all, or one for each output channel.
function weightEncodings(layer, bits, symmetry, estimator, percent) {
  const {shape} = layer.weight, w = state.numbers(state.sample.layers.indexOf(layer), 'weight');
  const channels = shape[0], size = w.length / channels;
  const one = (numbers) => quant.encodingFromRange(
      quant.estimate(estimator, numbers, bits, symmetry, percent), bits, symmetry);
  const parts = Array.from({length: channels}, (_, o) => w.subarray(o * size, (o + 1) * size));
  return {w, parts, tensor: one(w), channels: parts.map(one)};
}

panels.push({
  id: 'channels',
  draw() {
    const {chart, legend, figures, show} = drawing;
    const {now} = state;
    const layer = state.layer();
    const all = state.numbers(now.layer, 'weight');
    const symmetry = quant.resolveSymmetry(now.symmetry, quant.observe(all).min);
    const estimator = now.estimator === 'by_hand' ? 'min_max' : now.estimator;
    const {w, parts, tensor, channels} =
        weightEncodings(layer, now.bits, symmetry, estimator, now.percent);
    const seen = parts.map((part) => quant.observe(part));
    const range = quant.ends(tensor), whole = quant.observe(w);
    const low = Math.min(range.min, whole.min), high = Math.max(range.max, whole.max),
          room = (high - low) * 0.06;
    const c = chart(document.getElementById('channels-chart'), {
      x: [-0.5, parts.length - 0.5],
      y: [low - room, high + room],
      height: 360,
      xLabel: `output channel of ${layer.name}`,
      yLabel: 'weights',
      xTicks: drawing.ticks(0, parts.length - 1, 12).filter(Number.isInteger),
      say: `Ranges of ${parts.length} channels beside the range of the whole tensor`,
    });
    c.box(-1, range.min, parts.length, range.max, 'tensor');
    c.level(0, 'zero');
    seen.forEach(({min, max}, o) => c.box(o - 0.36, min, o + 0.36, max, 'channel'));
    legend(
        document.getElementById('channels-legend'),
        [['channel', 'numbers of a channel'], ['tensor', 'one range for all']]);

    const errors = (encoding) => parts.map((part, o) => quant.errorSplit(part, encoding(o)));
    const perTensor = errors(() => tensor), perChannel = errors((o) => channels[o]);
    // A channel that is hit exactly has no error: it is drawn at the upper end.
    const db = (e) => Math.min(e.sqnr, 200);
    const finite = [...perTensor, ...perChannel].map(db).filter(Number.isFinite);
    const least = Math.min(0, ...finite), most = Math.max(...finite);
    const d = chart(document.getElementById('channels-sqnr'), {
      x: [-0.5, parts.length - 0.5],
      y: [least - 1, most * 1.12 + 1],
      height: 280,
      xLabel: 'output channel',
      yLabel: 'SQNR, dB',
      xTicks: drawing.ticks(0, parts.length - 1, 12).filter(Number.isInteger),
      say: 'SQNR of each channel with one scale for all, and with one of its own',
    });
    perTensor.forEach((e, o) => {
      const from = Math.max(least, db(e)), to = db(perChannel[o]);
      d.line([[o, from], [o, to]], 'gain');
      d.dot(o, from, 'tensor-dot', 6);
      d.dot(o, to, 'channel-dot', 6);
    });
    legend(
        document.getElementById('channels-sqnr-legend'),
        [['tensor-dot', 'one scale for the tensor'], ['channel-dot', 'a scale for each channel']]);
    const together = (list) => {
      let error = 0, signal = 0;
      parts.forEach((part, o) => {
        error += (list[o].clipping + list[o].rounding) * part.length;
        for (const value of part) signal += value * value;
      });
      return 10 * Math.log10(signal / error);
    };
    const a = together(perTensor), b = together(perChannel);
    figures(document.getElementById('channels-figures'), [
      [show(a), 'dB', 'one scale for the tensor', 'tensor-figure'],
      [show(b), 'dB', 'a scale for each channel', 'channel-figure'],
      [show((b - a) / 6.02, 2), 'bits', 'is what the channels’ scales are worth: 6 dB are a bit'],
    ]);
  },
});

panels.push({
  id: 'accumulators',
  draw() {
    const {html, show, figures} = drawing;
    const {now} = state;
    const layer = state.layer();
    const sums = accumulate(
        layer, now.bits, now.estimator === 'by_hand' ? 'min_max' : now.estimator, now.percent);
    const bits = (most) => Math.ceil(Math.log2(most + 1)) + 1;
    const rows = [
      [
        'any numbers', sums.any,
        `${sums.products} products, each at most ${show(sums.largestX)} × ${show(sums.largestW)}`
      ],
      ['these weights', sums.weights, 'the inputs that would be worst for them'],
      ['seen', sums.seen, `the largest sum on the way, in ${show(sums.windows)} sums`],
    ];
    const most = Math.max(34, bits(sums.any) + 1);
    document.getElementById('accumulators-bars')
        .replaceChildren(...rows.map(
            ([name, value, why], i) => html(
                'div', {class: 'meter'}, html('span', {class: 'name'}, name),
                html(
                    'div', {class: 'track'},
                    html(
                        'div',
                        {class: `fill row${i}`, style: `width:${(100 * bits(value)) / most}%`},
                        `${bits(value)} bits`),
                    ...[16, 32].map((at) => html('i', {
                                      class: 'tick',
                                      style: `left:${(100 * at) / most}%`,
                                      'data-bits': `${at}`
                                    }))),
                html('span', {class: 'why'}, `${show(value, 6)}: ${why}`))));
    figures(document.getElementById('accumulators-figures'), [
      [show(sums.products), '', `products in each sum of ${layer.name}`],
      [`${now.bits} + ${now.bits}`, 'bits', 'in each product'],
      [show(bits(sums.any) - bits(sums.seen)), 'bits', 'that the worst case has and nobody needed'],
    ]);
  },
});

/// Returns how large the sums of products of codes get that a layer computes: for any codes, for
/// these weights, and seen in the windows inside of the picture.
function accumulate(layer, bits, estimator, percent) {
  const at = state.sample.layers.indexOf(layer);
  const x = state.numbers(at, 'input'), w = state.numbers(at, 'weight');
  const inX = quant.encodingFromRange(
      quant.estimate(estimator, x, bits, 'asymmetric', percent), bits, 'asymmetric');
  const inW = quant.encodingFromRange(
      quant.estimate(estimator, w, bits, 'symmetric', percent), bits, 'symmetric');
  // What hardware multiplies: whole steps from zero, codes less their zero point.
  const X = Float64Array.from(x, (v) => quant.code(v, inX) + inX.offset);
  const W = Float64Array.from(w, (v) => quant.code(v, inW));
  const largestX = Math.max(Math.abs(inX.qmin + inX.offset), Math.abs(inX.qmax + inX.offset));
  const largestW = Math.max(Math.abs(inW.qmin), Math.abs(inW.qmax));
  const outputs = layer.weight.shape[0], products = w.length / outputs;
  let weights = 0;
  for (let o = 0; o < outputs; ++o) {
    let sum = 0;
    for (let i = 0; i < products; ++i) sum += Math.abs(W[o * products + i]) * largestX;
    weights = Math.max(weights, sum);
  }
  return {
    products,
    largestX,
    largestW,
    any: products * largestX * largestW,
    weights,
    ...largestSum(layer, X, W)
  };
}

/// Walks over the windows inside of the picture, as the convolution does; a Gemm's is all of it.
function largestSum(layer, X, W) {
  const [outputs, depth, kh = 1, kw = 1] = layer.weight.shape;
  const [images, channels, height = 1, width = 1] = layer.input.shape;
  const {stride, dilation, per_group: perGroup} = layer;
  const each = channels * height * width;
  // Some thousand sums show it.
  const places = [];
  for (let n = 0; n < images; ++n)
    for (let r = 0; r + (kh - 1) * dilation[0] < height; r += stride[0])
      for (let q = 0; q + (kw - 1) * dilation[1] < width; q += stride[1]) places.push([n, r, q]);
  const skip = Math.max(1, Math.ceil((places.length * outputs * depth * kh * kw) / 4e6));
  let seen = 0, windows = 0;
  for (let p = 0; p < places.length; p += skip) {
    const [n, r, q] = places[p];
    for (let o = 0; o < outputs; ++o) {
      const first = Math.floor(o / perGroup) * depth;
      let sum = 0, i = o * depth * kh * kw;
      for (let d = 0; d < depth; ++d)
        for (let a = 0; a < kh; ++a)
          for (let b = 0; b < kw; ++b) {
            const place = n * each + (first + d) * height * width + (r + a * dilation[0]) * width +
                q + b * dilation[1];
            sum += X[place] * W[i++];
            if (sum > seen)
              seen = sum;
            else if (-sum > seen)
              seen = -sum;
          }
      ++windows;
    }
  }
  return {seen, windows};
}
