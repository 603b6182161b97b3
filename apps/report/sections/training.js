'use strict';
// How training went: loss, accuracy, learning rate, gradients, and what moved in the quantizers.

(() => {
  const {html, show: text} = elements;
  const {models, number, whole} = data;
  const byId = (id) => document.getElementById(id);
  const trained = models.filter((model) => model.analysis.training);
  if (trained.length === 0) return;
  byId('training').hidden = false;
  byId('training-link').hidden = false;
  const PALETTE = ['blue', 'orange', 'green', 'violet', 'red', 'quiet'];

  /// Lines over steps: [{label, values, steps}].
  function lines(place, title, list, more = {}) {
    const known = list.filter((each) => each.values && each.values.length > 0);
    place.hidden = known.length === 0;
    if (place.hidden) return;
    charts.draw(place, {
      type: 'line',
      height: 250,
      say: `${title} over steps`,
      datasets: known.map((each, i) => ({
                            label: each.label,
                            borderWidth: 2,
                            pointRadius: each.values.length < 20 ? 3 : 0,
                            tension: 0,
                            data: each.values.map(
                                (y, j) => ({x: each.steps[j], y: number(y) * (more.factor || 1)})),
                            borderColor: (color) => color(PALETTE[i % PALETTE.length]),
                            backgroundColor: (color) => color(PALETTE[i % PALETTE.length])
                          })),
      scales: {
        x: {title: 'step', type: 'linear', ticks: {callback: (value) => whole(value)}},
        y: {title, ticks: {callback: (value) => text(value, 3)}, ...more.axis}
      },
      interaction: {mode: 'nearest', axis: 'x', intersect: false},
      table: () => ({
        columns: ['step', ...known.map((each) => each.label)],
        rows: known[0].steps.map(
            (step, j) =>
                [String(step),
                 ...known.map((each) => text(number(each.values[j]) * (more.factor || 1)))])
      }),
    });
  }

  const label = (model, what) => (trained.length > 1 ? `${model.letter} ${what}` : what);
  const series = (what, of) => trained.map((model) => ({
                                             label: label(model, what),
                                             values: of(model.analysis.training),
                                             steps: model.analysis.training.steps
                                           }));
  const epochs = (what, key) => trained.map((model) => ({
                                              label: label(model, what),
                                              values: model.analysis.training.epochs?.[key],
                                              steps: model.analysis.training.epochs?.step
                                            }));

  function drawQuantizer() {
    const name = byId('training-quantizer').value;
    const part = (group, key) => (run) => run[group]?.[name]?.[key];
    lines(
        byId('training-range'), 'range',
        [...series('min', part('ranges', 'min')), ...series('max', part('ranges', 'max'))]);
    lines(
        byId('training-codes'), 'share of the weights (%)',
        [
          ...series('codes that flip in a step', part('codes', 'flips')),
          ...series('oscillating', part('codes', 'oscillating')),
          ...series('frozen', part('codes', 'frozen'))
        ],
        {factor: 100});
    lines(
        byId('training-range-gradient'), 'gradient norm of the range',
        series('gradient', part('ranges', 'gradient_norm')));
  }

  function draw() {
    lines(byId('training-loss'), 'loss', [...series('loss', (run) => run.loss)]);
    lines(
        byId('training-top1'), 'top1 (%)',
        [...series('training', (run) => run.top1), ...epochs('validation', 'top1_validation')],
        {factor: 100});
    lines(
        byId('training-lr'), 'learning rate', series('learning rate', (run) => run.lr),
        {axis: {beginAtZero: true}});
    lines(
        byId('training-gradient'), 'gradient norm',
        series('all gradients', (run) => run.gradient_norm));
    const names = [...new Set(trained.flatMap(
        ({
          analysis: {training}
        }) => [...Object.keys(training.ranges || {}), ...Object.keys(training.codes || {})]))];
    byId('training-quantizer')
        .replaceChildren(...names.map((name) => html('option', {value: name}, name)));
    byId('training-quantizers').hidden = names.length === 0;
    if (names.length > 0) drawQuantizer();
  }

  byId('training-quantizer').addEventListener('input', drawQuantizer);
  sections.push({id: 'training', draw});
})();
