'use strict';
// The arithmetic of quantization as the library does it, to the bit: float32 wherever it computes
// in float32 (f() rounds to that after every operation), float64 where it does. What it repeats:
// src/kernels/affine.h, src/quant/fake_quantize.cpp, src/quant/encoding.cpp,
// src/quant/histogram.cpp and src/quant/range. Functions of two to sixteen bits; an encoding is
// that of one tensor or of one channel. tests/teaching compares every result with the library's.

const quant = (() => {
  const f = Math.fround;
  const MINIMUM_SCALE = 2 ** -23;  // float32's epsilon
  const LARGEST = 3.4028234663852886e38;
  const BINS = 2048, LIMITED_BINS = 512;

  // As std::max, min and clamp: which of two equal zeros, or what becomes of NaN, is theirs.
  const larger = (a, b) => (a < b ? b : a);
  const smaller = (a, b) => (b < a ? b : a);
  const clamp = (x, low, high) => (x < low ? low : high < x ? high : x);

  /// Rounds half to even; the sign of zero stays.
  function rint(x) {
    if (!(Math.abs(x) < 2 ** 51)) return x;
    const whole = x + 1.5 * 2 ** 52 - 1.5 * 2 ** 52;
    return whole === 0 ? (x < 0 || Object.is(x, -0) ? -0 : 0) : whole;
  }

  // ---- from a range to scale and offset

  function makeGrid(bits, symmetry) {
    const half = 2 ** (bits - 1);
    if (symmetry === 'symmetric') return {qmin: -half, qmax: half - 1};
    if (symmetry === 'strict_symmetric') return {qmin: -(half - 1), qmax: half - 1};
    return {qmin: 0, qmax: 2 * half - 1};
  }

  /// What unsigned_symmetric means for data that begin at `min`.
  const resolveSymmetry = (symmetry, min) =>
      symmetry === 'unsigned_symmetric' && min < 0 ? 'symmetric' : symmetry;

  const isAroundZero = (symmetry) => symmetry === 'symmetric' || symmetry === 'strict_symmetric';

  function sides(steps) {
    const half = Math.floor(steps / 2);
    return {positive: half, negative: steps - half};
  }

  function withZero({min, max}, limit) {
    return {min: clamp(min, -limit, 0), max: clamp(max, 0, limit)};
  }

  function withMinimumStep({min, max}, steps, symmetry) {
    if (f(f(max - min) / steps) >= MINIMUM_SCALE) return {min, max};
    if (!isAroundZero(symmetry)) return {min, max: f(max + f(steps * MINIMUM_SCALE))};
    const {positive, negative} = sides(steps);
    return {min: f(min - f(negative * MINIMUM_SCALE)), max: f(max + f(positive * MINIMUM_SCALE))};
  }

  /// Turns an observed range into the one that is stored.
  function legalRange(observed, bits, symmetry) {
    const {qmin, qmax} = makeGrid(bits, symmetry);
    const steps = qmax - qmin;
    const range = withMinimumStep(withZero(observed, LARGEST / 4), steps, symmetry);
    if (!isAroundZero(symmetry)) return range;
    const {positive, negative} = sides(steps);
    const step = larger(f(range.max / positive), f(-range.min / negative));
    return {min: f(-negative * step), max: f(positive * step)};
  }

  /// scale = (max - min) / steps; offset = rint(min / scale) - qmin, or 0 where zero is in the
  /// middle.
  function encodingFromRange({min, max}, bits, symmetry) {
    const {qmin, qmax} = makeGrid(bits, symmetry);
    const scale = f(f(max - min) / (qmax - qmin));
    const offset = symmetry === 'asymmetric' ? rint(f(min / scale)) - qmin : 0;
    return {bits, symmetry, qmin, qmax, scale, offset: offset + 0};
  }

  /// The real numbers of the lowest and the highest code.
  const ends = (e) =>
      ({min: f((e.offset + e.qmin) * e.scale), max: f((e.offset + e.qmax) * e.scale)});

  // ---- one number

  const stepsOf = (x, e) => f(x / e.scale);
  const unclamped = (rounded, e) => f(rounded - e.offset);
  function onGrid(code, e) {
    const above = e.qmin > code ? e.qmin : code;
    return e.qmax < above ? e.qmax : above;
  }
  const real = (code, e) => f(f(code + e.offset) * e.scale);

  /// The random number in [0, 1) of element `index`.
  function random(seed, index) {
    let h = (Math.imul(index >>> 0, 0x9e3779b9) + (seed >>> 0)) >>> 0;
    h ^= h >>> 16;
    h = Math.imul(h, 0x85ebca6b);
    h ^= (h >>> 13) ^ Math.floor(seed / 2 ** 32) ^ Math.floor(index / 2 ** 32);
    h = Math.imul(h, 0xc2b2ae35);
    h ^= h >>> 16;
    return (h >>> 8) * 2 ** -24;
  }

  function roundByChance(steps, chance) {
    const nearest = rint(steps);
    const down = nearest > steps ? f(nearest - 1) : nearest;
    return chance < f(steps - down) ? f(down + 1) : down;
  }

  /// Rounds to a whole step; `rounding` is {stochastic, seed}, and `index` the number's place.
  const roundSteps = (steps, rounding, index) =>
      rounding.stochastic ? roundByChance(steps, random(rounding.seed, index)) : rint(steps);

  const NEAREST = {stochastic: false, seed: 0};

  const code = (x, e, rounding = NEAREST, index = 0) =>
      onGrid(unclamped(roundSteps(stepsOf(x, e), rounding, index), e), e);
  const quantizeDequantize = (x, e, rounding = NEAREST, index = 0) =>
      real(code(x, e, rounding, index), e);
  /// True if the nearest code is on the grid: nothing is clipped, and gradients pass.
  function isInside(x, e) {
    const q = unclamped(rint(stepsOf(x, e)), e);
    return e.qmin <= q && q <= e.qmax;
  }

  // ---- gradients

  /// The straight-through gradients: dx, and the sums for scale and offset.
  function backward(x, dy, e, rounding = NEAREST) {
    const dx = new Float32Array(x.length);
    let scale = 0, offset = 0;
    for (let i = 0; i < x.length; ++i) {
      const steps = stepsOf(x[i], e);
      const q = unclamped(rint(steps), e);
      const inside = e.qmin <= q && q <= e.qmax;
      dx[i] = inside ? dy[i] : 0;
      const moved = unclamped(roundSteps(steps, rounding, i), e);
      const byScale = f(f(onGrid(moved, e) + e.offset) - (inside ? steps : 0));
      scale += dy[i] * byScale;
      if (!inside) offset += dy[i] * e.scale;
    }
    return {dx, scale, offset, count: x.length};
  }

  /// Chains the gradients of scale and offset to the stored min and max.
  function rangeGradient(gradient, e, min) {
    const steps = e.qmax - e.qmin;
    let dscale = gradient.scale, direct = 0;
    if (e.symmetry === 'asymmetric') {
      direct = gradient.offset / e.scale;
      dscale -= (gradient.offset * min) / (e.scale * e.scale);
    }
    const dmin = e.symmetry === 'unsigned_symmetric' ? 0 : f(direct - dscale / steps);
    return {min: dmin, max: f(dscale / steps)};
  }

  /// What LSQ multiplies the gradient of its scale with.
  function lsqFactor(count, e) {
    const numbers = count * Math.max(1, e.qmax + e.offset);
    return Math.sqrt(Math.max(1, numbers));
  }
  const lsqGradient = (gradient, e) => f(gradient.scale / lsqFactor(gradient.count, e));

  // ---- range estimators

  function observe(x) {
    let min = x[0], max = x[0];
    for (let i = 1; i < x.length; ++i) {
      if (x[i] < min) min = x[i];
      if (x[i] > max) max = x[i];
    }
    return {min, max};
  }

  /// Counts numbers in equal bins over their range: 2048, or the 512 of a "limited" one.
  function histogram(x, isLimited = false) {
    const bins = isLimited ? LIMITED_BINS : BINS, {min, max} = observe(x);
    const isWide = !isLimited || min < max;
    const from = isWide ? min : f(min - 0.5), to = isWide ? max : f(max + 0.5);
    const binWidth = f(f(to - from) / bins);
    const edge = (bin) => f(f(bin * binWidth) + from);
    const first = isLimited ? edge(0) : min, width = f((isLimited ? edge(bins) : max) - first);
    const counts = new Float64Array(bins);
    for (let i = 0; i < x.length; ++i) {
      const position = f(f(f(x[i] - first) * bins) / width);
      const belowEnd = position < bins - 1 ? position : bins - 1;
      ++counts[belowEnd > 0 ? Math.floor(belowEnd) : 0];
    }
    const between = (bin) => f(f(edge(bin + 1) + edge(bin)) / 2);
    const one = f(edge(1) - edge(0)), middle = f(edge(0) + f(one / 2));
    const centre = isLimited ? (bin) => f(middle + f(one * bin)) : between;
    return {min, max, counts, total: x.length, edge, centre};
  }

  const minMax = (x, bits, symmetry) => legalRange(observe(x), bits, symmetry);

  /// Cuts off (100 - percent) % of the numbers at either end.
  function percentile(x, bits, symmetry, percent) {
    const all = histogram(x);
    if (percent === 100 || all.min === all.max) return legalRange(all, bits, symmetry);
    const binAt = (fraction) => {
      let below = 0;
      for (let bin = 0; bin < BINS; ++bin)
        if ((below += all.counts[bin]) >= all.total * fraction) return bin;
      return BINS - 1;
    };
    const high = percent / 100;
    return legalRange({min: all.edge(binAt(1 - high)), max: all.edge(binAt(high))}, bits, symmetry);
  }

  const GAMMA = 3;  // what is clipped counts 3 times
  const ASYMMETRIC_STEPS = 17, SYMMETRIC_STEPS = 101, OFFSETS = 21, LANES = 16;

  function filledBins(all) {
    const centre = [], count = [];
    for (let bin = 0; bin < all.counts.length; ++bin)
      if (all.counts[bin] !== 0) centre.push(all.centre(bin)), count.push(f(all.counts[bin]));
    while (centre.length % LANES !== 0) centre.push(0), count.push(0);
    return {centre: Float32Array.from(centre), count: Float32Array.from(count)};
  }

  /// The squared error of the binned numbers, summed in the library's 16 lanes.
  function noise({centre, count}, {scale, offset}, steps) {
    const lanes = new Float64Array(LANES), beyond = steps + 1;
    for (let i = 0; i < centre.length; ++i) {
      const x = centre[i];
      let q = f(f(x / scale) - offset);
      q = -1 > q ? -1 : q;
      q = rint(beyond < q ? beyond : q);
      let inside = 0 > q ? 0 : q;
      inside = steps < inside ? steps : inside;
      const error = f(f(f(inside + offset) * scale) - x);
      lanes[i % LANES] += f(f(f(error * error) * count[i]) * (inside === q ? 1 : GAMMA));
    }
    return lanes.reduce((sum, lane) => sum + lane, 0);
  }

  function asymmetricCandidates(low, high, steps) {
    const full = f(f(high - low) / steps);
    const zero = rint(f(low / full));
    const lowOnGrid = f(full * zero), highOnGrid = f(lowOnGrid + f(full * steps));
    const spread = Math.min(steps + 2, OFFSETS) - 1;
    const offsets = [];
    for (let j = 0; j < spread; ++j) offsets.push(rint(-steps + (j * steps) / (spread - 1)));
    offsets.push(zero);
    const candidates = [];
    for (let k = 1; k <= ASYMMETRIC_STEPS; ++k) {
      const scale = f(f(full * k) / (ASYMMETRIC_STEPS - 1));
      for (const offset of offsets) {
        const lowest = f(scale * offset);
        const bottom = larger(lowest, lowOnGrid);
        const top = smaller(f(lowest + f(scale * steps)), highOnGrid);
        const fitted = larger(f(f(top - bottom) / steps), MINIMUM_SCALE);
        candidates.push({scale: fitted, offset: rint(f(bottom / fitted))});
      }
    }
    return candidates;
  }

  function symmetricCandidates(full, offset) {
    const candidates = [];
    for (let k = 1; k <= SYMMETRIC_STEPS; ++k)
      candidates.push(
          {scale: larger(f(f(full * k) / (SYMMETRIC_STEPS - 1)), MINIMUM_SCALE), offset});
    return candidates;
  }

  /// Searches the range with the least squared error; in AIMET 2.42's way if it is limited.
  function sqnr(x, bits, symmetry, isLimited = false) {
    const all = histogram(x, isLimited);
    const {qmin, qmax} = makeGrid(bits, symmetry);
    const steps = qmax - qmin;
    const low = smaller(all.min, 0);
    const high = larger(larger(all.max, 0), f(low + f(MINIMUM_SCALE * steps)));
    let candidates;
    if (symmetry === 'asymmetric')
      candidates = asymmetricCandidates(low, high, steps);
    else if (symmetry === 'unsigned_symmetric')
      candidates = symmetricCandidates(f(high / steps), 0);
    else
      candidates = symmetricCandidates(f(f(2 * larger(high, -low)) / steps), qmin);
    const bins = filledBins(all);
    let best = candidates[0], least = Infinity;
    for (const candidate of candidates) {
      const cost = noise(bins, candidate, steps);
      if (cost < least) least = cost, best = candidate;
    }
    const bottom = f(best.offset * best.scale);
    return {min: bottom, max: f(bottom + f(steps * best.scale))};
  }

  /// The stored range that an estimator chooses for numbers.
  function estimate(estimator, x, bits, symmetry, percent) {
    if (estimator === 'sqnr') return sqnr(x, bits, symmetry);
    if (estimator === 'tf_enhanced') return sqnr(x, bits, symmetry, true);
    if (estimator === 'percentile') return percentile(x, bits, symmetry, percent);
    return minMax(x, bits, symmetry);
  }

  // ---- what it costs

  /// The squared error, split: of numbers that are clipped, and of those that are only rounded.
  function errorSplit(x, e, rounding = NEAREST) {
    let clipping = 0, rounded = 0, signal = 0, clipped = 0;
    for (let i = 0; i < x.length; ++i) {
      const error = quantizeDequantize(x[i], e, rounding, i) - x[i];
      signal += x[i] * x[i];
      if (isInside(x[i], e))
        rounded += error * error;
      else
        clipping += error * error, ++clipped;
    }
    return {
      clipping: clipping / x.length,
      rounding: rounded / x.length,
      clipped: clipped / x.length,
      sqnr: 10 * Math.log10(signal / (clipping + rounded)),
    };
  }

  return {
    rint,
    makeGrid,
    resolveSymmetry,
    legalRange,
    encodingFromRange,
    ends,
    stepsOf,
    random,
    code,
    real,
    quantizeDequantize,
    isInside,
    backward,
    rangeGradient,
    lsqFactor,
    lsqGradient,
    observe,
    histogram,
    minMax,
    percentile,
    sqnr,
    estimate,
    errorSplit,
    NEAREST,
  };
})();
