'use strict';
// A range that is learned: a run that "rung trace" recorded, step by step.

const learning = (() => {
  let trace = null, at = 0, timer = null;

  const byId = (id) => document.getElementById(id);

  /// Returns what is wrong with the text of a file, or nothing and takes it.
  function load(text) {
    let read;
    try {
      read = JSON.parse(text);
    } catch (error) {
      return `this is no JSON: ${error.message}`;
    }
    const problem = check(read);
    if (problem) return problem;
    stop();
    trace = read;
    at = 0;
    const channels = trace.steps[0].scale.length;
    byId('trace-channel-row').hidden = channels === 1;
    byId('trace-channel').max = channels - 1;
    byId('trace-channel').value = 0;
    byId('trace-step').max = trace.steps.length - 1;
    byId('trace-step').value = 0;
    draw();
    return '';
  }

  function check(read) {
    const numbers = (list) => Array.isArray(list) && list.length > 0 &&
        list.every((v) => v === null || Number.isFinite(v));
    if (typeof read !== 'object' || read === null || !Array.isArray(read.steps))
      return 'there are no "steps": make the file with rung trace';
    if (read.steps.length === 0) return 'no step was recorded';
    const channels = read.steps[0].scale ? read.steps[0].scale.length : 0;
    for (const [i, step] of read.steps.entries()) {
      for (const key
               of ['min', 'max', 'scale', 'offset', 'clipped_below', 'clipped_above', 'rounding',
                   'clipping'])
        if (!numbers(step[key]) || step[key].length !== channels)
          return `step ${i}: "${key}" is not a list of ${channels} numbers`;
      if (!Number.isFinite(step.loss)) return `step ${i}: "loss" is no number`;
      if (typeof step.gradient !== 'object' || step.gradient === null)
        return `step ${i}: there is no "gradient"`;
      for (const [name, values] of Object.entries(step.gradient))
        if (!numbers(values) || values.length !== channels)
          return `step ${i}: the gradient "${name}" is not a list of ${channels} numbers`;
      if (step.histogram &&
          (!numbers(step.histogram.counts) || !numbers(step.histogram.range) ||
           step.histogram.range.length !== 2))
        return `step ${i}: the histogram is damaged`;
    }
    return '';
  }

  const channel = () => Number(byId('trace-channel').value);

  function draw() {
    if (!trace) return;
    const {figures, show} = drawing;
    const o = channel(), step = trace.steps[at];
    byId('trace-name').textContent = `${trace.quantizer}, ${trace.bitwidth} bits ${
        String(trace.symmetry).replace('_', ' ')}, ${trace.kind}, of ${trace.model}`;
    byId('trace-step').value = at;
    byId('trace-step-value').textContent = `${at + 1} of ${trace.steps.length}`;
    byId('trace-channel-value').textContent = o;
    timeline(o);
    picture(o, step);
    const names = {
      min: ['d loss / d min', 'low'],
      max: ['d loss / d max', 'high'],
      scale: ['d loss / d s', 'quantized']
    };
    figures(byId('learning-figures'), [
      [show(step.min[o]), '', 'min', 'low'],
      [show(step.max[o]), '', 'max', 'high'],
      [show(step.scale[o]), '', 'scale'],
      [show(100 * (step.clipped_below[o] + step.clipped_above[o])), '%', 'clipped', 'clipping'],
      ...Object.entries(step.gradient)
          .filter(([name]) => names[name])
          .map(([name, values]) => [show(values[o], 2), '', names[name][0], names[name][1]]),
      [show(step.rounding[o], 2), '', 'squared error by rounding', 'rounding'],
      [show(step.clipping[o], 2), '', 'and by clipping', 'clipping'],
      [show(step.loss), '', 'loss of the batch'],
    ]);
  }

  /// min, max and loss over the steps, with a line at the present one.
  function timeline(o) {
    const {chart, legend, show} = drawing;
    const {steps} = trace;
    const low = Math.min(0, ...steps.map((s) => s.min[o])),
          high = Math.max(0, ...steps.map((s) => s.max[o]));
    const room = (high - low || 1) * 0.1;
    const c = chart(byId('learning-range'), {
      x: [0, Math.max(1, steps.length - 1)],
      y: [low - room, high + room],
      height: 240,
      xLabel: 'step',
      yLabel: 'range',
      say: `The range over ${steps.length} steps: from ${show(steps[0].min[o])} … ${
          show(steps[0].max[o])} to ${show(steps.at(-1).min[o])} … ${show(steps.at(-1).max[o])}`,
    });
    c.level(0, 'zero');
    c.band(steps.map((s, i) => [i, s.min[o], s.max[o]]), 'faint');
    c.line(steps.map((s, i) => [i, s.min[o]]), 'low');
    c.line(steps.map((s, i) => [i, s.max[o]]), 'high');
    c.upright(at, 'probe');
    c.dot(at, steps[at].min[o], 'low', 7);
    c.dot(at, steps[at].max[o], 'high', 7);
    legend(byId('learning-range-legend'), [['low', 'min'], ['high', 'max']]);

    const losses = steps.map((s) => s.loss);
    // The mean of what lies around: batches differ.
    const smooth = losses.map((_, i) => {
      const around = losses.slice(Math.max(0, i - 8), i + 9);
      return around.reduce((a, b) => a + b, 0) / around.length;
    });
    const d = chart(byId('learning-loss'), {
      x: [0, Math.max(1, steps.length - 1)],
      y: [0, Math.max(...losses) * 1.08 || 1],
      height: 190,
      xLabel: 'step',
      yLabel: 'loss',
      say: 'Loss over the steps',
    });
    d.line(losses.map((v, i) => [i, v]), 'loss faint');
    d.line(smooth.map((v, i) => [i, v]), 'loss');
    d.upright(at, 'probe');
    d.dot(at, smooth[at], 'loss', 7);
  }

  /// The numbers of this step under the range of this step.
  function picture(o, step) {
    const place = byId('learning-picture');
    place.hidden = !step.histogram;
    if (!step.histogram) return;
    const {chart, show} = drawing;
    const all = trace.steps.filter((s) => s.histogram);
    const low = Math.min(...all.map((s) => Math.min(s.histogram.range[0], s.min[o])));
    const high = Math.max(...all.map((s) => Math.max(s.histogram.range[1], s.max[o])));
    const room = (high - low || 1) * 0.06;
    const {counts, range: [min, max]} = step.histogram;
    const sorted = [...counts].sort((a, b) => b - a);
    const most = sorted[0] > 4 * (sorted[1] || 1) ? (sorted[1] || 1) * 1.6 : sorted[0];
    const c = chart(place, {
      x: [low - room, high + room],
      y: [0, most * 1.1 || 1],
      height: 260,
      xLabel: 'numbers of the batch',
      yLabel: 'how many',
      yTicks: [],
      say: `Histogram at step ${at + 1}, range ${show(step.min[o])} to ${show(step.max[o])}`,
    });
    c.box(low - room, -1, step.min[o], most * 2, 'outside');
    c.box(step.max[o], -1, high + room, most * 2, 'outside');
    const width = (max - min) / counts.length;
    counts.forEach((count, i) => {
      const middle = min + (i + 0.5) * width;
      if (count > 0 && width > 0)
        c.box(
            middle - width * 0.45, 0, middle + width * 0.45, count,
            middle < step.min[o] || middle > step.max[o] ? 'clipping' : 'data');
    });
    c.upright(step.min[o], 'low', show(step.min[o]), 0);
    c.upright(step.max[o], 'high', show(step.max[o]), 0);
  }

  function stop() {
    if (timer !== null) clearInterval(timer);
    timer = null;
    const button = byId('trace-play');
    if (button) button.textContent = 'Play', button.setAttribute('aria-pressed', 'false');
  }
  function play() {
    if (timer !== null) return stop();
    if (at >= trace.steps.length - 1) at = 0;
    byId('trace-play').textContent = 'Pause';
    byId('trace-play').setAttribute('aria-pressed', 'true');
    // Ten seconds for a run, whatever its length.
    const stride = Math.max(1, Math.round(trace.steps.length / 200));
    timer = setInterval(() => {
      at = Math.min(trace.steps.length - 1, at + stride);
      draw();
      if (at === trace.steps.length - 1) stop();
    }, 50);
    return undefined;
  }

  function start() {
    byId('trace-play').addEventListener('click', play);
    byId('trace-step').addEventListener('input', (event) => {
      stop();
      at = Number(event.target.value);
      draw();
    });
    byId('trace-channel').addEventListener('input', draw);
    byId('trace-file').addEventListener('change', async (event) => {
      const [file] = event.target.files;
      if (!file) return;
      const problem = load(await file.text());
      byId('trace-problem').textContent = problem ? `${file.name}: ${problem}` : '';
    });
    const problem = load(document.getElementById('trace').textContent);
    byId('trace-problem').textContent = problem;
  }

  return {start, draw, load};
})();

panels.push({id: 'learning', draw: () => learning.draw()});
