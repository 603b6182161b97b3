'use strict';
// The whole network in a few figures, and in words what stands out, each with what may help.

const summary = (() => {
  const {html} = elements;
  const {models, isCompared, db, whole, bytes, fixed} = data;
  const byId = (id) => document.getElementById(id);

  /// Puts text where a person can paste it from.
  async function copy(text, button) {
    try {
      await navigator.clipboard.writeText(text);
    } catch {  // pages from disk may not, in some browsers
      const area = html('textarea', {class: 'offscreen'});
      area.value = text;
      document.body.append(area);
      area.select();
      document.execCommand('copy');
      area.remove();
      button.focus();
    }
    button.textContent = 'Copied';
    setTimeout(() => (button.textContent = 'Copy'), 1500);
  }

  /// Lines break between words, not within an option's name.
  const words = (text) => text.split('\n').flatMap(
      (line, i) =>
          [i > 0 ? '\n' : '',
           ...line.split(' ').flatMap((word, j) => [j > 0 ? ' ' : '', html('span', {}, word)])]);

  /// A command in a box, with a button that copies it.
  function command(text) {
    const button =
        html('button', {type: 'button', class: 'copy', 'aria-label': `Copy: ${text}`}, 'Copy');
    button.addEventListener('click', () => copy(text, button));
    return html('div', {class: 'command'}, html('code', {}, ...words(text)), button);
  }

  function tile(value, unit, what, kind = '') {
    return html(
        'div', {class: `figure ${kind}`},
        html('b', {}, value, unit ? html('small', {}, ` ${unit}`) : ''), html('span', {}, what));
  }

  const LEVELS = [
    ['nothing', 'float'], ['weights', 'weights quantized'],
    ['activations', 'activations quantized'], ['everything', 'both quantized']
  ];

  function tiles(model) {
    const {levels, cost} = model.analysis;
    const unit = data.metric(levels.metric).unit;
    const level = (key) => data.shown(levels.metric, data.number(levels[key]));
    const smaller = model.floatBytes / model.weightBytes;
    const list =
        LEVELS.filter(([key]) => levels.metric !== 'sqnr' || key !== 'nothing')
            .map(
                ([key, what]) =>
                    tile(level(key), unit, `${data.metric(levels.metric).title}, ${what}`, key));
    list.push(tile(db(model.outputs), 'dB', 'SQNR of the outputs'));
    if (model.weightBytes > 0)
      list.push(tile(
          bytes(model.weightBytes).split(' ')[0], bytes(model.weightBytes).split(' ')[1],
          `quantized weights, ${fixed(smaller, 1)} times less than float`));
    list.push(tile(
        whole(model.analysis.quantizers.length), '',
        `quantizers in ${model.analysis.layers.length} layers`));
    return html('div', {class: 'figures'}, ...list);
  }

  /// Both models' figures, and what changed.
  function comparison() {
    const [a, b] = models;
    const same = a.analysis.levels.metric === b.analysis.levels.metric;
    const name = a.analysis.levels.metric;
    const rows = !same ? [] : LEVELS.map(([key, what]) => {
      const [x, y] = [a, b].map((m) => data.inUnits(name, data.number(m.analysis.levels[key])));
      const change = x === y ? 0 : y - x;
      return [
        `${data.axisTitle(name)}, ${what}`, data.shown(name, data.number(a.analysis.levels[key])),
        data.shown(name, data.number(b.analysis.levels[key])), change, 2
      ];
    });
    rows.push([
      'SQNR of the outputs (dB)', db(a.outputs), db(b.outputs),
      a.outputs === b.outputs ? 0 : b.outputs - a.outputs, 1
    ]);
    rows.push(['Quantized weights', bytes(a.weightBytes), bytes(b.weightBytes), null]);
    rows.push([
      'Quantizers', whole(a.analysis.quantizers.length), whole(b.analysis.quantizers.length), null
    ]);
    rows.push(['Images', whole(a.analysis.cost.images), whole(b.analysis.cost.images), null]);
    const shown = (change, digits) =>
        change === null ? '' : `${change > 0 ? '+' : ''}${fixed(change, digits)}`;
    return html(
        'table', {class: 'plain compare'},
        html(
            'thead', {},
            html(
                'tr', {},
                ...['', `A  ${a.name}`, `B  ${b.name}`, 'B − A'].map(
                    (text) => html('th', {scope: 'col'}, text)))),
        html(
            'tbody', {},
            ...rows.map(
                ([what, x, y, change, digits]) => html(
                    'tr', {}, html('th', {scope: 'row'}, what), html('td', {}, x),
                    html('td', {}, y),
                    html(
                        'td',
                        {class: change > 0 ? 'better' :
                             change < 0    ? 'worse' :
                                             ''},
                        shown(change, digits))))));
  }

  function subject(model, name) {
    if (!name) return html('b', {}, 'The network');
    const button = html('button', {type: 'button', class: 'link strong'}, name);
    const isLayer = model.byName.has(name);
    if (isLayer)
      button.addEventListener('click', () => details.open(model, name));
    else if (model.quantizers.has(name))
      button.addEventListener('click', () => tensors.show(model, name));
    else
      return html('b', {}, name);
    return button;
  }

  /// What quantization costs, in words.
  function costs(model) {
    const {levels} = model.analysis, name = levels.metric;
    const at = (key) => data.inUnits(name, data.number(levels[key]));
    const parts = [];
    if (isCompared) parts.push(html('b', {}, `${model.letter}  ${model.name}: `));
    if (data.metric(name).unit === '%') {
      const points = (key) => fixed(Math.max(0, at('nothing') - at(key)), 1);
      const lost = at('nothing') - at('everything');
      parts.push(
          lost > 0 ?
              `Quantization costs ${points('everything')} points of ${name}; weights alone ` +
                  `cost ${points('weights')}, activations alone ${points('activations')}. ` :
              `Quantization costs nothing of ${name} on these images. `);
    }
    parts.push(`The SQNR of the outputs is ${db(model.outputs)} dB. `);
    const known = model.rows.filter((row) => !Number.isNaN(row.aloneSqnr));
    if (known.length > 1) {
      const worst = known.reduce((a, b) => (b.aloneSqnr < a.aloneSqnr ? b : a));
      parts.push(
          'The layer that hurts most is ', subject(model, worst.name),
          `: with it alone quantized it would be ${db(worst.aloneSqnr)} dB.`);
    }
    return html('p', {class: 'lead'}, ...parts);
  }

  function findings(model) {
    const list = model.findings.map(
        (each) => html(
            'li', {class: 'finding'},
            html('p', {}, subject(model, each.subject), `: ${each.text}.`),
            ...(each.commands.length > 0 ?
                    [html(
                        'p', {class: 'small'},
                        each.commands.length > 1 ? 'One of these may help:' : 'This may help:')] :
                    []),
            ...each.commands.map(command)));
    const title = isCompared ? `What stands out in ${model.letter}` : 'What stands out';
    if (list.length === 0)
      return [
        html('h3', {}, title),
        html('p', {}, 'Nothing: by the rules of this analysis quantization works as it should.')
      ];
    return [html('h3', {}, title), html('ol', {class: 'findings'}, ...list)];
  }

  function draw() {
    byId('summary-figures')
        .replaceChildren(...models.map(costs), isCompared ? comparison() : tiles(models[0]));
    const name = models[0].analysis.levels.metric;
    byId('summary-findings')
        .replaceChildren(...models.map((model) => html('div', {}, ...findings(model))));
    byId('summary-findings').classList.toggle('two', isCompared);
    const order = LEVELS.filter(([key]) => name !== 'sqnr' || key !== 'nothing');
    const values = (model) =>
        order.map(([key]) => data.inUnits(name, data.number(model.analysis.levels[key])));
    const palette = [['blue', 'sky'], ['orange', 'rule']];
    charts.draw(byId('summary-levels'), {
      type: 'bar',
      horizontal: true,
      height: isCompared ? 250 : 190,
      say: `${data.axisTitle(name)} of the network by what is quantized`,
      labels: order.map(([, what]) => what),
      datasets:
          models.filter((m) => m.analysis.levels.metric === name)
              .map((model, i) => ({
                     label: isCompared ? `${model.letter}  ${model.name}` : data.axisTitle(name),
                     data: values(model),
                     maxBarThickness: 26,
                     backgroundColor: (color) =>
                         (isCompared ? color(palette[i][0]) :
                                       order.map(
                                           ([key]) => color(
                                               key === 'nothing'        ? 'quiet' :
                                                   key === 'everything' ? 'blue' :
                                                                          'sky'))),
                   })),
      scales: {
        x: {title: data.axisTitle(name), beginAtZero: true},
        y: {grid: {display: false}, ticks: {autoSkip: false}}
      },
      table: () => ({
        columns: ['', ...models.map((m) => m.name)],
        rows: order.map(
            ([key, what]) =>
                [what,
                 ...models.map(
                     (m) => data.withUnit(
                         m.analysis.levels.metric, data.number(m.analysis.levels[key])))])
      }),
    });
  }

  sections.push({id: 'summary', draw});
  return {command};
})();
