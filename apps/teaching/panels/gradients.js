'use strict';
// What gradients pass: the straight-through estimator, and the gradients that ranges learn from.

panels.push({
  id: 'straight-through',
  draw({encoding, ends, inside, view, error}) {
    const {chart, legend, figures, show} = drawing;
    const [low, high] = view;
    const c = chart(document.getElementById('straight-through-chart'), {
      x: view,
      y: [-0.25, 1.35],
      height: 270,
      xLabel: 'x',
      yLabel: 'd x′ / d x',
      yTicks: [0, 1],
      say: `The gradient is 1 between ${show(ends.min)} and ${show(ends.max)}, and 0 outside`,
    });
    c.box(low, -1, inside.min, 2, 'outside');
    c.box(inside.max, -1, high, 2, 'outside');
    // The true one: zero, and a spike without end at every edge of a step.
    const first = encoding.qmin + encoding.offset, last = encoding.qmax + encoding.offset;
    if (last - first <= 300)
      for (let step = first; step < last; ++step)
        c.line([[(step + 0.5) * encoding.scale, 0], [(step + 0.5) * encoding.scale, 1.3]], 'truth');
    c.line([[low, 0], [high, 0]], 'truth');
    const points = [];
    for (let i = 0; i <= 1200; ++i) {
      const x = Math.fround(low + ((high - low) * i) / 1200);
      points.push([x, quant.backward([x], [1], encoding).dx[0]]);
    }
    c.line(points, 'quantized');
    legend(document.getElementById('straight-through-legend'), [
      ['quantized', 'straight-through: what training uses'],
      ['truth', 'the true one: 0, and a spike at every step'], ['outside', 'clipped']
    ]);
    figures(document.getElementById('straight-through-figures'), [
      [
        show(100 * (1 - error.clipped), 4), '%', `of ${state.tensorName()} get a gradient`,
        'quantized'
      ],
      [show(100 * error.clipped), '%', 'are clipped and get none', 'clipping'],
    ]);
  },
});

panels.push({
  id: 'range-gradients',
  draw({x, encoding, range, inside, view, rounding}) {
    const lsq = document.getElementById('learn').value === 'lsq';
    this.curves(lsq, {encoding, range, inside, view});
    // The loss of this panel: the mean squared error of the numbers themselves.
    const dy = new Float32Array(x.length);
    for (let i = 0; i < x.length; ++i)
      dy[i] = (2 * (quant.quantizeDequantize(x[i], encoding, rounding, i) - x[i])) / x.length;
    const sums = quant.backward(x, dy, encoding, rounding);
    const {figures, show} = drawing;
    const way = (gradient, more, less) => (gradient === 0 ? 'stays' : gradient < 0 ? more : less);
    if (lsq) {
      const factor = quant.lsqFactor(x.length, encoding);
      const gradient = quant.lsqGradient(sums, encoding);
      figures(document.getElementById('range-gradients-figures'), [
        [show(sums.scale), '', `sum over ${x.length} numbers: d loss / d s`],
        [`1 / ${show(factor)}`, '', 'LSQ’s factor: 1 / √(numbers × largest code)'],
        [
          show(gradient), '',
          `what the step size learns from: ${way(gradient, 'wider', 'narrower')}`, 'quantized'
        ],
      ]);
      return;
    }
    const gradient = quant.rangeGradient(sums, encoding, range.min);
    figures(document.getElementById('range-gradients-figures'), [
      [
        show(gradient.min), '', `d loss / d min: min goes ${way(gradient.min, 'up', 'down')}`, 'low'
      ],
      [
        show(gradient.max), '', `d loss / d max: max goes ${way(gradient.max, 'up', 'down')}`,
        'high'
      ],
    ]);
  },

  curves(lsq, {encoding, range, inside, view}) {
    const {chart, legend} = drawing;
    const [low, high] = view;
    const byMin = [], byMax = [], byScale = [];
    const count = 2400;
    for (let i = 0; i <= count; ++i) {
      const x = Math.fround(low + ((high - low) * i) / count);
      const sums = quant.backward([x], [1], encoding);
      const gradient = quant.rangeGradient(sums, encoding, range.min);
      byMin.push([x, gradient.min]), byMax.push([x, gradient.max]), byScale.push([x, sums.scale]);
    }
    const slopes = byScale.map(([, slope]) => slope);
    const least = Math.min(...slopes), most = Math.max(...slopes), room = (most - least) * 0.12;
    const c = chart(document.getElementById('range-gradients-chart'), {
      x: view,
      y: lsq ? [least - room, most + room] : [-0.3, 1.2],
      height: 340,
      xLabel: 'x',
      yLabel: lsq ? 'd x′ / d s' : 'd x′ / d min, d x′ / d max',
      say: lsq ? 'Gradient of the step size over x' :
                 'Gradients of min and max over x: 1 or 0 outside, a saw inside',
    });
    const [bottom, top] = lsq ? [least - 2 * room, most + 2 * room] : [-2, 2];
    c.box(low, bottom, inside.min, top, 'outside');
    c.box(inside.max, bottom, high, top, 'outside');
    c.level(0, 'zero');
    if (lsq)
      c.line(byScale, 'quantized');
    else
      c.line(byMin, 'low'), c.line(byMax, 'high');
    legend(
        document.getElementById('range-gradients-legend'),
        lsq ? [['quantized', 'step size s'], ['outside', 'clipped']] :
              [['low', 'min'], ['high', 'max'], ['outside', 'clipped']]);
  },
});
