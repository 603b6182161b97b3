'use strict';
// Runs inside a report, of one network or of two, and uses it as a person would.

checks.run(async () => {
  const {check} = checks;
  const byId = (id) => document.getElementById(id);
  const all = (selector, from = document) => [...from.querySelectorAll(selector)];
  const use = (id, value, kind = 'input') => {
    byId(id).value = value;
    byId(id).dispatchEvent(new Event(kind, {bubbles: true}));
  };
  const IMAGE = '<img src=x onerror="problems.push(\'markup\')">';
  const isCompared = data.models.length === 2;

  check('it comes from disk', location.protocol === 'file:');
  check('what is out of sight is drawn later', byId('plan-figures').children.length === 0);
  report.drawAll();

  // ---- charts

  const copy = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  function pixels(canvas) {
    copy.canvas.width = canvas.width;  // which clears it
    copy.canvas.height = canvas.height;
    copy.drawImage(canvas, 0, 0);
    return copy.getImageData(0, 0, canvas.width, canvas.height).data;
  }
  const inked = (canvas) => {
    let count = 0;
    const bytes = pixels(canvas);
    for (let i = 3; i < bytes.length; i += 4) count += bytes[i] > 0;
    return count;
  };
  const charts = all('canvas');
  const places = all('details.numbers').length;
  check(
      `a chart, or a table, in each place: ${charts.length}, ${places}`,
      places >= 9 && charts.length === (typeof Chart === 'function' ? places : 0));
  for (const canvas of charts) {
    const name = canvas.getAttribute('aria-label');
    check(`${name}: is drawn`, canvas.width > 200 && inked(canvas) > 2000);
    check(`${name}: says what it shows`, name.length > 10);
  }
  for (const numbers of all('details.numbers')) numbers.open = true;
  await new Promise((done) => setTimeout(done, 50));
  check(
      'charts have their numbers',
      all('details.numbers').every((each) => each.querySelectorAll('tbody tr').length > 0));
  check('no figure is NaN', !/NaN|undefined|\[object/.test(document.body.innerText));

  // ---- the table

  const table = byId('layers-table');
  const rows = () => all('tbody tr', table);
  const column = (title) => all('thead th', table).findIndex((th) => th.textContent === title);
  const cells = (title) => rows().map((row) => row.children[column(title)].textContent);
  const sort = (title) => all('thead button', table).find((b) => b.textContent === title).click();
  const alone = isCompared ? 'alone A' : 'alone';
  const numbers = () => cells(alone).map((text) => (text === '∞' ? Infinity : Number(text)));
  const isSorted = (list, down) =>
      list.every((x, i) => i === 0 || (down ? list[i - 1] >= x : list[i - 1] <= x));
  check('a row for each layer', rows().length === 6);
  check('network order at first', cells('layer')[0] === 'conv1' && !isSorted(numbers(), false));
  sort(alone);
  check('sorted upwards', isSorted(numbers(), false) && numbers()[0] < numbers()[5]);
  sort(alone);
  check('sorted downwards', isSorted(numbers(), true));
  check('says how it is sorted', all('th[aria-sort=descending]', table).length === 1);
  const filter = table.querySelector('input'), kind = table.querySelector('select');
  const type = (element, value) => {
    element.value = value;
    element.dispatchEvent(new Event('input', {bubbles: true}));
  };
  type(filter, 'CONV1');
  check('filtered by name', rows().length === 1 && cells('layer')[0] === 'conv1');
  type(filter, '');
  type(kind, 'Gemm');
  check('filtered by type', rows().length === 1 && cells('layer')[0] === 'fc');
  type(kind, '');
  check('all again', rows().length === 6);
  if (isCompared) {
    check('what changed', cells('output B−A').includes('+6.0'));
    check('both in the summary', byId('summary-figures').innerText.includes('+6.00'));
    check('both tensors', all('.tensor').length === 2);
  }

  // ---- names are text

  check('a name is text in the table', cells('layer').includes(IMAGE));
  check(
      'a name is text in the graph',
      all('#network-graph title').some((t) => t.textContent.startsWith(IMAGE)));
  check(
      'a name is text in the lists',
      all('#tensor-choice option').some((o) => o.textContent === IMAGE));
  all('#layers-table tbody button').find((b) => b.textContent === IMAGE).click();
  check(
      'a click shows the layer',
      byId('details').open && byId('details').querySelector('h2').textContent === IMAGE);
  check('what it reads is there', byId('details').innerText.includes('conv1'));
  byId('details').querySelector('.close').click();
  check('and is closed again', !byId('details').open);
  check(
      'no name is markup',
      all('img').length === 0 && all('body script').length === all('script', document.body).length);

  // ---- the graph

  const nodes = all('#network-graph .node');
  check('a box for each layer and the input', nodes.length === 7);
  const boxes = nodes.map((node) => node.getBoundingClientRect());
  const overlap = (a, b) =>
      a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 1 && b.top < a.bottom - 1;
  check('no boxes overlap', !boxes.some((a, i) => boxes.some((b, j) => j > i && overlap(a, b))));
  const frame = byId('network-graph').getBoundingClientRect();
  check(
      'all of it is seen',
      boxes.every(
          (b) => b.left >= frame.left && b.right <= frame.right && b.top >= frame.top &&
              b.bottom <= frame.bottom));
  check(
      'layers are colored',
      new Set(nodes.map((n) => getComputedStyle(n.querySelector('rect')).fill)).size >= 4);
  check('as many lines as inputs', all('#network-graph .edges path').length === 8);
  use('network-search', 'branch');
  check(
      'search finds',
      all('.node.found').length === 1 && byId('network-found').textContent === '1 found');
  use('network-search', '');
  const seen = () => byId('network-graph').querySelector('svg').getAttribute('viewBox');
  const whole = seen();
  byId('network-in').click();
  check('zooms in', Number(seen().split(' ')[2]) < Number(whole.split(' ')[2]));
  byId('network-fit').click();
  check('shows the whole again', seen() === whole);
  const press = (key) => document.activeElement.dispatchEvent(
      new KeyboardEvent('keydown', {key, bubbles: true, cancelable: true}));
  nodes[1].focus();
  press('ArrowDown');
  check(
      'arrows go to the next layer',
      document.activeElement.querySelector('title')?.textContent.startsWith(IMAGE));
  press('Enter');
  check('Enter shows it', byId('details').open);
  all('#details button').find((b) => b.textContent.endsWith('.conv')).click();
  check(
      'its neighbour is a click away',
      byId('details').querySelector('h2').textContent === 'branch.conv');
  all('#details .link').find((b) => b.textContent === 'branch.conv.weight').click();
  check(
      'so is its histogram',
      !byId('details').open && byId('tensor-choice').value === 'branch.conv.weight');

  // ---- tensors, sensitivity, plan

  byId('tensor-next').click();
  check('the next tensor', byId('tensor-choice').value === 'branch.conv');
  use('tensor-choice', 'conv1');
  check('a constant tensor', byId('tensor-charts').innerText.includes('All numbers are 0.5'));
  for (const each of ['alone', 'allBut', 'output', 'own']) {
    use('sensitivity-kind', each);
    check(`${each}: has bars`, byId('sensitivity-count').textContent === '6 of 6 layers');
  }
  const planned = () => byId('plan-figures').innerText;
  use('plan-budget', '0');
  const nothing = planned();
  check('nothing is planned at the lower end', nothing.includes('0\nof 6 layers change'));
  use('plan-budget', byId('plan-budget').max);
  check(
      'more memory, better',
      planned() !== nothing && byId('plan-table').querySelectorAll('tbody tr').length > 0);
  check('a program for it', byId('plan-code').innerText.includes('.set_bitwidth('));
  use('plan-target', '5', 'change');
  check('a target that is met needs nothing', planned() === nothing);
  use('plan-from', 'least');
  check('from the fewest bits', planned().includes('estimated SQNR'));

  // ---- training

  const parts = (id) => all(`#${id} details`).length;
  check(
      'curves of training',
      !byId('training').hidden && parts('training-loss') === 1 && parts('training-gradient') === 1);
  use('training-quantizer', IMAGE);
  check('a range that learns', parts('training-range') === 1 && parts('training-codes') === 0);
  use('training-quantizer', 'conv1.weight');
  check('codes that flip', parts('training-codes') === 1);

  const classes = all('#confusion-tables tr', byId('confusion'));
  check('a row for each class', classes.length === 3 * data.models.length);
  check(
      'how often it is taken for which',
      classes[2].innerText.replace(/\s+/g, ' ') === `${IMAGE} 2 3 60.0 %`);

  // ---- words, keys, light and dark

  check(
      'what it costs is said',
      byId('summary-figures').innerText.includes('Quantization costs 20.0 points of top1'));

  check('something stands out', all('.finding').length > 0 && all('.finding .command').length > 0);
  for (const button of all('.copy'))
    check('what is copied is said', button.getAttribute('aria-label').length > 8);
  all('.copy')[0].click();
  await new Promise((done) => setTimeout(done, 100));
  check('a command is copied', all('.copy')[0].textContent === 'Copied');
  check('single quantizers, too', all('#tensor-table th').some((th) => th.textContent === 'alone'));
  for (const control of all('input, select, button, canvas')) {
    const named = control.closest('label') || control.getAttribute('aria-label') ||
        control.textContent.trim();
    check(`${control.id || control.className}: has a name`, Boolean(named));
    check(
        `${control.id || control.className}: is reached by Tab`,
        control.tagName === 'CANVAS' || control.tabIndex === 0);
  }
  const paper = () => getComputedStyle(document.body).backgroundColor;
  const light = paper(),
        before =
            charts.length > 0 && pixels(byId('sensitivity-chart').querySelector('canvas')).join();
  byId('theme').click();
  check('light and dark differ', paper() !== light);
  if (charts.length > 0)
    check(
        'charts, too', pixels(byId('sensitivity-chart').querySelector('canvas')).join() !== before);
  window.dispatchEvent(new Event('beforeprint'));
  check('paper is light', paper() === light);
  window.dispatchEvent(new Event('afterprint'));
  check('the screen is as it was', paper() !== light);
});
