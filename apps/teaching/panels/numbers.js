'use strict';
// Real numbers of a trained network under the range: what is clipped, what is rounded, and what a
// narrower or a wider range would change.

/// Counts numbers in equal bins: [[middle, count], ...] and the bins' width.
function countIn(x, [low, high], bins) {
  const counts = new Array(bins).fill(0), width = (high - low) / bins;
  for (const value of x)
    ++counts[Math.min(bins - 1, Math.max(0, Math.floor((value - low) / width)))];
  return {counts, width};
}

panels.push({
  id: 'histogram',
  draw({x, encoding, ends, inside, view, error, observed}) {
    const {chart, legend, figures, show} = drawing;
    const {counts, width} = countIn(x, view, 120);
    const sorted = [...counts].sort((a, b) => b - a);
    // Behind a Relu most numbers are zero: their bin may stick out.
    const most = sorted[0] > 4 * sorted[1] ? sorted[1] * 1.6 : sorted[0];
    const c = chart(document.getElementById('histogram-chart'), {
      x: view,
      y: [0, most * 1.12 || 1],
      height: 400,
      xLabel: state.tensorName(),
      yLabel: 'how many',
      say: `Histogram of ${x.length} numbers between ${show(observed.min)} and ${
          show(observed.max)}; the range is ${show(ends.min)} to ${show(ends.max)}`,
    });
    c.box(view[0], -1, inside.min, most * 2, 'outside');
    c.box(inside.max, -1, view[1], most * 2, 'outside');
    const codes = encoding.qmax - encoding.qmin + 1;
    if (codes <= 128)
      for (let code = encoding.qmin; code <= encoding.qmax; ++code) {
        const at = quant.real(code, encoding);
        c.line([[at, 0], [at, most * 2]], 'code');
      }
    counts.forEach((count, i) => {
      const middle = view[0] + (i + 0.5) * width;
      const clipped = !quant.isInside(Math.fround(middle), encoding);
      if (count > 0)
        c.box(
            middle - width * 0.46, 0, middle + width * 0.46, count, clipped ? 'clipping' : 'data');
      if (count > most * 1.12) c.word(middle + width, most * 0.9, `${count} ↑`, '', 'start');
    });
    c.upright(ends.min, 'low', show(ends.min), 0);
    c.upright(ends.max, 'high', show(ends.max), 0);
    legend(document.getElementById('histogram-legend'), [
      ['data', 'kept, and rounded'], ['clipping', 'clipped'],
      ...(codes <= 128 ? [['code', 'codes']] : [])
    ]);
    const total = error.clipping + error.rounding;
    figures(document.getElementById('histogram-figures'), [
      [show(error.sqnr), 'dB', 'signal over error (SQNR)'],
      [show(100 * error.clipped), '%', 'of the numbers are clipped', 'clipping'],
      [show(codesUsed(x, encoding)), `of ${codes}`, 'codes are used'],
    ]);
    split(document.getElementById('histogram-split'), error, total);
  },
});

function codesUsed(x, encoding) {
  const used = new Set();
  for (const value of x) used.add(quant.code(value, encoding));
  return used.size;
}

/// The error as one bar of two colors.
function split(place, {clipping, rounding}, total) {
  const {html, show} = drawing;
  const share = (part) => (total > 0 ? (100 * part) / total : 0);
  const part = (kind, name, value) => {
    const element =
        html('div', {class: `part ${kind}`, style: `flex-grow:${Math.max(share(value), 0.001)}`});
    if (share(value) > 18) element.append(`${name} ${show(share(value), 3)} %`);
    element.hidden = value === 0;
    return element;
  };
  place.replaceChildren(
      html(
          'div', {class: 'bar'}, part('rounding', 'rounding', rounding),
          part('clipping', 'clipping', clipping)),
      html(
          'p', {class: 'sum'},
          `mean squared error ${show(total)} = rounding ${show(rounding)} + clipping ${
              show(clipping)}`));
}

panels.push({
  id: 'tradeoff',
  draw({x, encoding, symmetry, observed}) {
    const error = quant.errorSplit(x, encoding);  // of the nearest, as the curves
    const {chart, legend, figures, show} = drawing;
    const {now} = state;
    const whole = quant.minMax(x, now.bits, symmetry);
    const points = 72, from = 0.02;
    const curve = [];
    for (let i = 0; i <= points; ++i) {
      const share = from * (1.15 / from) ** (i / points);
      const range = quant.legalRange(
          {min: Math.fround(observed.min * share), max: Math.fround(observed.max * share)},
          now.bits, symmetry);
      const e = quant.encodingFromRange(range, now.bits, symmetry);
      curve.push(
          {share: (range.max - range.min) / (whole.max - whole.min), ...quant.errorSplit(x, e)});
    }
    const totals = curve.map((p) => p.clipping + p.rounding);
    const floor = Math.min(...totals), roof = Math.max(...totals);
    const log = (v) => Math.log10(Math.max(v, floor / 100));
    const c = chart(document.getElementById('tradeoff-chart'), {
      x: [0, 1.15],
      y: [log(floor / 30), log(roof * 1.5)],
      height: 400,
      xLabel: 'width of the range, 1 = min-max',
      yLabel: 'mean squared error',
      yTicks: [],
      say:
          'Error over the width of the range: clipping falls, rounding rises, their sum has a lowest point',
    });
    for (let power = Math.ceil(log(floor / 30)); power <= log(roof * 1.5); ++power) {
      c.level(power, 'grid');
      c.word(
          0.004, power,
          `10${String(power).replace(/[-0-9]/g, (d) => (d === '-' ? '⁻' : '⁰¹²³⁴⁵⁶⁷⁸⁹'[d]))}`,
          'quiet', 'start');
    }
    c.line(curve.map((p) => [p.share, p.clipping > 0 ? log(p.clipping) : log(0)]), 'clipping');
    c.line(curve.map((p) => [p.share, p.rounding > 0 ? log(p.rounding) : log(0)]), 'rounding');
    c.line(curve.map((p) => [p.share, log(p.clipping + p.rounding)]), 'sum');
    const names = {
      min_max: 'min-max',
      sqnr: 'SQNR search',
      tf_enhanced: 'tf_enhanced',
      percentile: `percentile ${now.percent}`
    };
    Object.entries(names).forEach(([estimator, name], row) => {
      const range = quant.estimate(estimator, x, now.bits, symmetry, now.percent);
      const e = quant.encodingFromRange(range, now.bits, symmetry);
      const {clipping, rounding} = quant.errorSplit(x, e);
      const share = (range.max - range.min) / (whole.max - whole.min);
      c.dot(share, log(clipping + rounding), estimator === now.estimator ? 'chosen' : 'other', 9);
      c.upright(share, estimator === now.estimator ? 'chosen-line' : 'other-line', name, row);
    });
    legend(
        document.getElementById('tradeoff-legend'),
        [['clipping', 'clipping'], ['rounding', 'rounding'], ['sum', 'both together']]);
    const best = curve[totals.indexOf(floor)];
    figures(document.getElementById('tradeoff-figures'), [
      [show(error.clipping + error.rounding), '', 'error of the range in use'],
      [show(floor), '', `least on this curve, at ${show(100 * best.share)} % of the width`, 'sum'],
      [show(error.sqnr - best.sqnr, 2), 'dB', 'between the two'],
    ]);
  },
});
