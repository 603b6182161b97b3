'use strict';
// The staircase: every number becomes one of a few.

panels.push({
  id: 'staircase',
  draw({encoding, ends, inside, view, rounding}) {
    const {chart, legend, figures, show} = drawing;
    const [low, high] = view;
    const span = high - low;
    const c = chart(document.getElementById('staircase-chart'), {
      x: view,
      y: [ends.min - span * 0.06, ends.max + span * 0.06],
      height: 440,
      xLabel: 'x, the number that comes in',
      yLabel: 'x′, what is left of it',
      say: `Staircase of ${encoding.qmax - encoding.qmin + 1} steps between ${show(ends.min)} and ${
          show(ends.max)}`,
    });
    c.box(low, ends.min - span, inside.min, ends.max + span, 'outside');
    c.box(inside.max, ends.min - span, high, ends.max + span, 'outside');
    c.line([[low, low], [high, high]], 'identity');
    if (rounding.stochastic) this.cloud(c, view, encoding, rounding);
    c.line(this.steps(view, encoding), rounding.stochastic ? 'quantized faint' : 'quantized');

    const x = Math.fround(state.now.probe);
    const y = quant.quantizeDequantize(x, encoding, rounding, 0);
    c.line([[x, ends.min - span], [x, y]], 'probe');
    c.line([[x, y], [low, y]], 'probe');
    c.dot(x, y, 'probe', 9);
    dragProbe(c, view);

    const steps = quant.stepsOf(x, encoding), rounded = quant.code(x, encoding, rounding, 0);
    figures(document.getElementById('staircase-figures'), [
      [show(encoding.scale), '', 'scale s, the width of a step'],
      [show(encoding.offset), '', 'offset o, the step of the lowest code'],
      [`${show(encoding.qmin)} … ${show(encoding.qmax)}`, '', 'codes'],
    ]);
    const rows = [
      ['x', show(x, 5), 'a number'],
      ['x / s', show(steps, 5), 'how many steps is it from zero?'],
      [
        'round', show(rounding.stochastic ? rounded + encoding.offset : quant.rint(steps)),
        rounding.stochastic ? 'up or down, by chance' : 'the nearest step, ties to the even one'
      ],
      [
        'clamp(… − o)', show(rounded),
        quant.isInside(x, encoding) ? 'the code' : 'the code, which is an end of the grid: clipped'
      ],
      [
        'x′ = (code + o) · s', show(y, 5),
        `what is left; ${show(Math.abs(y - x), 2)} of it is error`
      ],
    ];
    document.getElementById('staircase-lines')
        .replaceChildren(...rows.map(
            ([what, value, why]) => drawing.html(
                'tr', {}, drawing.html('th', {scope: 'row'}, what),
                drawing.html('td', {class: 'value'}, value), drawing.html('td', {}, why))));
    legend(
        document.getElementById('staircase-legend'),
        [['quantized', 'after quantization'], ['identity', 'unchanged'], ['outside', 'clipped']]);
    const slider = document.getElementById('probe');
    slider.min = low, slider.max = high, slider.step = span / 2000, slider.value = x;
  },

  /// The corners of the staircase, or a line where steps are finer than the screen.
  steps([low, high], e) {
    const points = [];
    const first = e.qmin + e.offset, last = e.qmax + e.offset;
    if (last - first > 1500)
      return [
        [low, first * e.scale], [first * e.scale, first * e.scale],
        [last * e.scale, last * e.scale], [high, last * e.scale]
      ];
    points.push([low, first * e.scale]);
    for (let step = first; step < last; ++step) {
      const edge = (step + 0.5) * e.scale;
      points.push([edge, step * e.scale], [edge, (step + 1) * e.scale]);
    }
    points.push([high, last * e.scale]);
    return points;
  },

  /// Where chance takes numbers: some draws of each.
  cloud(c, [low, high], e, rounding) {
    for (let i = 0; i < 700; ++i) {
      const x = Math.fround(low + ((high - low) * (i + 0.5)) / 700);
      c.dot(x, quant.quantizeDequantize(x, e, rounding, i), 'quantized', 2.5);
    }
  },
});

/// Lets the pointer move the probe on a chart over x.
function dragProbe(c, [low, high]) {
  const move = (event) => {
    const place = c.root.getBoundingClientRect();
    const at = ((event.clientX - place.left) / place.width) * c.width;
    const x = low + ((at - c.left) / (c.right - c.left)) * (high - low);
    state.now.probe = Math.min(high, Math.max(low, x));
    controls.redraw();
  };
  c.root.classList.add('draggable');
  c.root.addEventListener('pointerdown', (event) => {
    move(event);
    const stop = () => {
      window.removeEventListener('pointermove', move);
      window.removeEventListener('pointerup', stop);
    };
    window.addEventListener('pointermove', move);
    window.addEventListener('pointerup', stop);
  });
}
