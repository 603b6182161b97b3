'use strict';
// What the controls say, and everything that follows from it once, for all panels.

const state = (() => {
  const sample = JSON.parse(document.getElementById('sample').textContent);

  const now = {
    layer: Math.min(1, sample.layers.length - 1),
    tensor: 'weight',
    bits: 4,
    symmetry: 'asymmetric',
    estimator: 'sqnr',  // or min_max, tf_enhanced, percentile, by_hand
    percent: 99.9,
    rounding: 'nearest',
    min: -1,
    max: 1,
    probe: 0,
  };

  /// The numbers of a layer's weight, or of what it reads.
  const cache = new Map();
  function numbers(layer, tensor) {
    const key = `${layer} ${tensor}`;
    if (!cache.has(key)) cache.set(key, Float32Array.from(sample.layers[layer][tensor].values));
    return cache.get(key);
  }

  /// Returns the encoding in use and the numbers that it is for.
  function derive() {
    const x = numbers(now.layer, now.tensor);
    const observed = quant.observe(x);
    const byHand = {min: Math.fround(now.min), max: Math.fround(now.max)};
    const seen = now.estimator === 'by_hand' ? byHand : observed;
    const symmetry = quant.resolveSymmetry(now.symmetry, Math.min(seen.min, observed.min));
    const range = now.estimator === 'by_hand' ?
        quant.legalRange(byHand, now.bits, symmetry) :
        quant.estimate(now.estimator, x, now.bits, symmetry, now.percent);
    const encoding = quant.encodingFromRange(range, now.bits, symmetry);
    const rounding = {stochastic: now.rounding === 'stochastic', seed: 1};
    return {
      x,
      observed,
      symmetry,
      range,
      encoding,
      ends: quant.ends(encoding),
      inside: insideOf(encoding),
      rounding,
      error: quant.errorSplit(x, encoding, rounding),
      view: viewOf(observed, quant.ends(encoding))
    };
  }

  /// The numbers that are not clipped: those that round to a code.
  function insideOf(encoding) {
    const {min, max} = quant.ends(encoding);
    return {min: min - encoding.scale / 2, max: max + encoding.scale / 2};
  }

  /// What charts over x show: the data and the range, with some room.
  function viewOf(observed, ends) {
    const low = Math.min(observed.min, ends.min, 0), high = Math.max(observed.max, ends.max, 0);
    const room = (high - low || 1) * 0.12;
    return [low - room, high + room];
  }

  const layer = () => sample.layers[now.layer];
  const tensorName = () =>
      now.tensor === 'weight' ? `the weights of ${layer().name}` : `what ${layer().name} reads`;

  return {sample, now, numbers, derive, layer, tensorName};
})();

// Each panel puts {id, draw(derived)} in here.
const panels = [];
