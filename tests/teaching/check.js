'use strict';
// Runs inside the page: compares its arithmetic with what the library printed (numbers.cpp), then
// uses the page as a person would.

let compared = 0;  // numbers
checks.run(async () => {
  const {check} = checks;

  // ---- the same numbers, to the bit

  const bytesOf = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer;
  const floats = (text) => new Float32Array(bytesOf(text));
  const bits = (values) => new Uint32Array(Float32Array.from(values).buffer);

  /// Counts where lists of floats differ in any bit.
  function differences(mine, theirs) {
    const a = bits(mine), b = bits(theirs);
    if (a.length !== b.length) return Infinity;
    let count = 0;
    for (let i = 0; i < a.length; ++i) count += a[i] !== b[i];
    return count;
  }
  function same(name, mine, theirs) {
    const count = differences(mine, theirs);
    check(`${name}: ${count} of ${theirs.length} differ`, count === 0);
  }

  const numbers = JSON.parse(document.getElementById('numbers').textContent);
  for (const each of numbers.cases) {
    const name = `${each.bits} bits ${each.symmetry}${each.stochastic ? ' stochastic' : ''}`;
    const [min, max] = floats(each.range);
    const encoding = quant.encodingFromRange({min, max}, each.bits, each.symmetry);
    same(`${name}: scale and offset`, [encoding.scale, encoding.offset], floats(each.encoding));
    const rounding = {stochastic: each.stochastic, seed: each.seed};
    const x = floats(each.x), codes = new Int32Array(bytesOf(each.codes));
    check(`${name}: there are 10,000 numbers`, x.length === 10000 && codes.length === 10000);
    let wrong = 0;
    for (let i = 0; i < x.length; ++i) wrong += quant.code(x[i], encoding) !== codes[i];
    check(`${name}: ${wrong} codes differ`, wrong === 0);
    same(
        `${name}: numbers after quantization`,
        Array.from(x, (value, i) => quant.quantizeDequantize(value, encoding, rounding, i)),
        floats(each.y));
    const gradient = quant.backward(x, floats(each.dy), encoding, rounding);
    same(`${name}: gradients of numbers`, gradient.dx, floats(each.dx));
    const sums = new Float64Array(bytesOf(each.sums));
    check(
        `${name}: gradient of the scale, ${gradient.scale} for ${sums[0]}`,
        Object.is(gradient.scale, sums[0]));
    check(
        `${name}: gradient of the offset, ${gradient.offset} for ${sums[1]}`,
        Object.is(gradient.offset, sums[1]));
    const range = quant.rangeGradient(gradient, encoding, min);
    same(
        `${name}: gradients of min, max and LSQ's scale`,
        [range.min, range.max, quant.lsqGradient(gradient, encoding)], floats(each.gradients));
    compared += 3 * x.length + 5;
  }
  for (const each of numbers.ranges) {
    const x = floats(numbers.sets[each.set]);
    const symmetry = quant.resolveSymmetry(each.symmetry, quant.observe(x).min);
    const range = quant.estimate(each.estimator, x, each.bits, symmetry, each.percent);
    same(
        `${each.estimator} ${each.percent} of set ${each.set}, ${each.bits} bits ${each.symmetry}`,
        [range.min, range.max], floats(each.range));
    compared += 2;
  }
  check('something was compared', numbers.cases.length >= 60 && numbers.ranges.length >= 500);
  const x = state.numbers(0, 'input');
  const e = quant.encodingFromRange(quant.sqnr(x, 3, 'asymmetric'), 3, 'asymmetric');
  const parts = quant.errorSplit(x, e);
  const whole = x.reduce((sum, v) => sum + (quant.quantizeDequantize(v, e) - v) ** 2, 0) / x.length;
  check(
      'clipping and rounding add up',
      Math.abs(parts.clipping + parts.rounding - whole) <= 1e-12 * whole);

  // ---- the page

  const byId = (id) => document.getElementById(id);
  const drawn = (id) => byId(id).querySelectorAll('path, rect, circle').length;
  const use = (id, value) => {
    byId(id).value = value;
    byId(id).dispatchEvent(new Event('input', {bubbles: true}));
    controls.drawAll();
  };
  for (const section of document.querySelectorAll('main > section')) {
    const sentences =
        section.querySelector('h2 + p').textContent.split(/[.?](?:\s|$)/).filter((s) => s.trim());
    check(`${section.id}: two sentences say what to see`, sentences.length === 2);
    for (const chart of section.querySelectorAll('.chart')) {
      check(`${chart.id}: is drawn`, drawn(chart.id) > 1);
      check(
          `${chart.id}: says what it shows`,
          (chart.querySelector('svg').getAttribute('aria-label') || '').length > 10);
    }
  }
  for (const tensor of ['weight', 'input'])
    for (let layer = 0; layer < state.sample.layers.length; ++layer)
      for (const symmetry of ['asymmetric', 'symmetric', 'strict_symmetric', 'unsigned_symmetric'])
        for (const estimator of ['min_max', 'sqnr', 'tf_enhanced', 'percentile'])
          for (const bw of [2, 16]) {
            use('layer', layer), use('tensor', tensor), use('symmetry', symmetry),
                use('estimator', estimator), use('bits', bw);
            check(
                `${bw} bits ${symmetry} ${estimator} of ${tensor} ${layer}: no figure is NaN`,
                !/NaN|undefined/.test(document.body.innerText));
          }
  // Panels out of sight are drawn when they come into sight. (Without a screen there are no
  // frames.)
  const {requestAnimationFrame} = window;
  window.requestAnimationFrame = (callback) => setTimeout(callback, 0);
  byId('bits').value = 5;
  byId('bits').dispatchEvent(new Event('input', {bubbles: true}));
  const drawnBefore = byId('tradeoff-figures').firstChild;
  await new Promise((done) => setTimeout(done, 100));
  const drawnLater = byId('tradeoff-figures').firstChild;
  byId('tradeoff').scrollIntoView({behavior: 'instant'});
  window.dispatchEvent(new Event('scroll'));
  window.requestAnimationFrame = requestAnimationFrame;
  check(
      'a panel out of sight is drawn in sight',
      drawnBefore === drawnLater && byId('tradeoff-figures').firstChild !== drawnBefore);
  window.scrollTo({top: 0, behavior: 'instant'});
  use('bits', 4);
  const before = byId('staircase-figures').textContent;
  use('bits', 3);
  check('bits move the staircase', byId('staircase-figures').textContent !== before);
  use('max', Number(byId('max').value) * 0.8);
  check('a moved end is a range by hand', byId('estimator').value === 'by_hand');
  use('rounding-mode', 'stochastic');
  check(
      'stochastic rounding draws its cloud',
      byId('staircase-chart').querySelectorAll('circle').length > 500);
  use('learn', 'lsq');
  check('LSQ shows its factor', byId('range-gradients-figures').textContent.includes('LSQ'));

  // Everything that can be used can be reached by the keyboard and has a name.
  for (const control of document.querySelectorAll('input, select, button')) {
    const named = control.closest('label') || control.getAttribute('aria-label') ||
        control.textContent.trim();
    check(`${control.id || control.name}: has a name`, Boolean(named));
    check(`${control.id}: is reached by Tab`, control.tabIndex === 0);
  }
  byId('single').click();
  const visible =
      () => [...document.querySelectorAll('main > section')].filter((section) => !section.hidden);
  check('one panel at a time', visible().length === 1);
  const first = visible()[0];
  document.dispatchEvent(new KeyboardEvent('keydown', {key: 'PageDown', bubbles: true}));
  check('PageDown shows the next one', visible().length === 1 && visible()[0] !== first);
  byId('single').click();
  check('all panels again', visible().length > 5);
  const paper = () => getComputedStyle(document.body).backgroundColor;
  const light = paper();
  byId('theme').click();
  check('light and dark differ', paper() !== light);
  byId('theme').click();

  // ---- a recorded run from a file

  // The browser's clock of timers, which runs ahead, must not wait for a disk: a file is text here.
  let given = '';
  Blob.prototype.text = () => Promise.resolve(given);
  async function give(text) {
    given = text;
    const files = new DataTransfer();
    files.items.add(new File([text], '<img src=x onerror=problems.push("markup")>.json'));
    byId('trace-file').files = files.files;
    byId('trace-file').dispatchEvent(new Event('change'));
    await new Promise((done) => setTimeout(done, 50));
  }
  const trace = JSON.parse(byId('trace').textContent);
  check('a run comes along', trace.steps.length >= 100 && trace.learned);
  for (const each of trace.steps) {
    const [min, max] = [each.min[0], each.max[0]].map(Math.fround);
    const mine = quant.encodingFromRange({min, max}, trace.bitwidth, trace.symmetry);
    check(
        'the run’s scale follows from its range',
        trace.kind !== 'affine' || mine.scale === Math.fround(each.scale[0]));
  }
  const short = {
    ...trace,
    quantizer: '<img src=x onerror=problems.push("markup")>',
    steps: trace.steps.slice(0, 7)
  };
  await give(JSON.stringify(short));
  check(
      'a file is taken',
      byId('trace-step').max === '6' && byId('trace-problem').textContent === '');
  check(
      'names are text',
      byId('trace-name').querySelector('img') === null &&
          byId('trace-name').textContent.includes('<img'));
  const twice = (step) => Object.fromEntries(Object.entries(step).map(
      ([key, value]) => [key, Array.isArray(value) ? [value[0], value[0] / 2] : value]));
  const channels = short.steps.map((step) => ({...twice(step), gradient: twice(step.gradient)}));
  await give(JSON.stringify({...short, steps: channels}));
  check('channels can be chosen', !byId('trace-channel-row').hidden);
  const ofFirst = byId('learning-figures').textContent;
  use('trace-channel', 1);
  check('another channel has other figures', byId('learning-figures').textContent !== ofFirst);
  for (const [name, text] of [
           ['no JSON', '{'], ['nothing', ''], ['another object', '{"a": 1}'],
           ['no steps', '{"steps": []}'], ['a step without a range', '{"steps": [{"loss": 1}]}'], [
             'text for numbers',
             JSON.stringify({...trace, steps: [{...trace.steps[0], min: ['a']}]})
           ]]) {
    await give(text);
    check(
        `${name}: is refused and said`,
        byId('trace-problem').textContent.length > 20 && byId('trace-step').max === '6');
  }
  check('what is refused is text', byId('trace-problem').querySelector('img') === null);
  byId('trace-play').click();
  await new Promise((done) => setTimeout(done, 1500));
  check(
      'the run plays to its end',
      byId('trace-step').value === '6' && byId('trace-play').textContent === 'Play');
}, () => `; ${compared} numbers compared`);
