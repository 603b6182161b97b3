'use strict';
// Rounding by chance: wrong every time, right on average.

panels.push({
  id: 'rounding',
  draw({encoding}) {
    const {chart, legend, figures, show} = drawing;
    const x = Math.fround(state.now.probe), draws = 400;
    const nearest = quant.quantizeDequantize(x, encoding);
    const steps = quant.stepsOf(x, encoding), down = Math.floor(steps);
    const below = quant.quantizeDequantize(Math.fround(down * encoding.scale), encoding);
    const above = quant.quantizeDequantize(Math.fround((down + 1) * encoding.scale), encoding);
    const seed = Number(document.getElementById('seed').value);
    const room = (encoding.scale || 1) * 0.35;
    const c = chart(document.getElementById('rounding-chart'), {
      x: [0, draws],
      y: [Math.min(below, x) - room, Math.max(above, x) + room],
      height: 360,
      xLabel: 'draws',
      yLabel: 'x′',
      say:
          'The mean of stochastic rounding approaches x; rounding to the nearest stays where it is',
    });
    let sum = 0, ups = 0;
    const mean = [];
    for (let i = 0; i < draws; ++i) {
      const y = quant.quantizeDequantize(x, encoding, {stochastic: true, seed}, i);
      sum += y;
      if (y > below) ++ups;
      mean.push([i + 1, sum / (i + 1)]);
      c.dot(i + 1, y, 'draw', 3);
    }
    c.level(x, 'identity');
    c.level(nearest, 'rounding');
    c.line(mean, 'quantized');
    legend(document.getElementById('rounding-legend'), [
      ['identity', 'x'], ['rounding', 'to the nearest'], ['draw', 'by chance, each draw'],
      ['quantized', 'mean of the draws so far']
    ]);
    figures(document.getElementById('rounding-figures'), [
      [
        show(100 * (steps - down)), '%',
        'chance of going up: the part of a step that x is above the lower one'
      ],
      [show((100 * ups) / draws), '%', `of ${draws} draws went up`, 'quantized'],
      [show(Math.abs(nearest - x), 2), '', 'error of the nearest, the same every time', 'rounding'],
      [show(Math.abs(sum / draws - x), 2), '', 'error of the mean', 'quantized'],
    ]);
  },
});
