'use strict';
// Which layers to give more bits, or fewer, to meet a budget. Estimates: as src/analysis/README.md
// has them, errors of layers are taken for independent.

(() => {
  const {html} = elements;
  const {models, db, bytes, fixed} = data;
  const byId = (id) => document.getElementById(id);
  const BITS = [4, 8, 16];
  const power = (sqnr) => (sqnr === Infinity ? 0 : 10 ** (-sqnr / 10));
  const inDb = (noise) => (noise > 0 ? -10 * Math.log10(noise) : Infinity);

  let model = models[0], layers = [], path = [], at = 0, byHand = new Map();

  /// What a layer costs and how much noise it makes, now and at other bitwidths: bytes of its
  /// weights and of what it gives for one image, noise of the network's outputs over their power.
  function layersOf() {
    return model.rows.filter((row) => row.at[8] && !Number.isNaN(row.aloneSqnr)).map((row) => {
      const gives = row.bits.value ? row.numbers : 0;
      const options = BITS.filter((b) => row.at[b]).map((b) => ({
                                                          bits: b,
                                                          bytes: row.at[b].bytes + (gives * b) / 8,
                                                          noise: power(row.at[b].alone)
                                                        }));
      const now = {
        bits: 'now',
        bytes: row.bytes + (gives * (row.bits.value || 0)) / 8,
        noise: power(row.aloneSqnr)
      };
      return {row, now, options};
    });
  }

  /// The estimate for the whole network: noise of what is changed is replaced.
  function networkOf(choice) {
    let noise = power(model.outputs), added = 0, size = 0;
    for (const layer of layers) {
      const option = choice.get(layer) || layer.now;
      size += option.bytes;
      if (option === layer.now) continue;
      noise -= layer.now.noise;
      added += option.noise;
    }
    return {sqnr: inDb(Math.max(noise, 0) + added), bytes: size};
  }

  /// From the fewest bits (or from now) upwards, always the step that takes away most noise per
  /// byte: a list of {choice, sqnr, bytes}.
  function pathOf(fromNow) {
    const choice = new Map(layers.map((layer) => [layer, fromNow ? layer.now : layer.options[0]]));
    const points = [{choice: new Map(choice), ...networkOf(choice)}];
    for (;;) {
      let best = null, most = 0;
      for (const layer of layers) {
        const present = choice.get(layer);
        for (const option of layer.options) {
          const gain = present.noise - option.noise, cost = option.bytes - present.bytes;
          // Steps that change next to nothing would make the list long and the plan no better.
          if (!(gain > 1e-4 * present.noise) || !(cost > 0 || gain > 0) ||
              (option.bits <= present.bits))
            continue;
          const worth = gain / Math.max(cost, 1);
          if (worth > most) most = worth, best = [layer, option];
        }
      }
      if (!best) break;
      choice.set(...best);
      points.push({choice: new Map(choice), ...networkOf(choice)});
    }
    // The last steps cost most and hardly help.
    const enough = points.findIndex((each) => each.sqnr >= points.at(-1).sqnr - 0.05);
    return points.slice(0, enough + 1);
  }

  /// What is planned: a point of the path, and what was chosen by hand.
  function planned() {
    const choice = new Map([...path[at].choice, ...byHand]);
    return {choice, ...networkOf(choice)};
  }

  const bitsNow = (layer) => layer.row.bits.text;
  const optionText = (option) => (option.bits === 'now' ? 'as now' : `${option.bits} bits`);

  function lineOf(layer, option) {
    const select = html(
        'select', {'aria-label': `Bits of ${layer.row.name}`},
        ...[layer.now, ...layer.options].map(
            (each, i) => html('option', {value: String(i)}, optionText(each))));
    select.value = String([layer.now, ...layer.options].indexOf(option));
    select.addEventListener('input', () => {
      byHand.set(layer, [layer.now, ...layer.options][Number(select.value)]);
      update();
      byId('plan-table').querySelector(`[data-layer="${layers.indexOf(layer)}"] select`)?.focus();
    });
    const name = html('button', {type: 'button', class: 'link'}, layer.row.name);
    name.addEventListener('click', () => details.open(model, layer.row.name));
    const change = option.bytes - layer.now.bytes;
    return html(
        'tr', {'data-layer': layers.indexOf(layer)}, html('th', {scope: 'row'}, name),
        html('td', {}, bitsNow(layer)), html('td', {}, select),
        html('td', {class: 'number'}, `${db(inDb(layer.now.noise))} → ${db(inDb(option.noise))}`),
        html(
            'td', {class: 'number'},
            change === 0 ? '' : `${change > 0 ? '+' : '−'}${bytes(Math.abs(change))}`));
  }

  /// The same as a program would do it.
  function codeOf(choice) {
    const lines = [];
    for (const [layer, option] of choice)
      if (option !== layer.now)
        for (const q of layer.row.quantizers)
          if (q.bitwidth !== option.bits)
            lines.push(`sim.quantizer(${JSON.stringify(q.name)}).set_bitwidth(${option.bits});`);
    return lines.join('\n');
  }

  function update() {
    const now = networkOf(new Map()), plan = planned();
    const differs = ([layer, option]) => byHand.has(layer) ||
        (option !== layer.now && layer.row.quantizers.some((q) => q.bitwidth !== option.bits));
    const changed = [...plan.choice].filter(differs);
    changed.sort((a, b) => (b[0].now.noise - b[1].noise) - (a[0].now.noise - a[1].noise));
    byId('plan-budget').value = String(at);
    byId('plan-budget').setAttribute('aria-valuetext', `${bytes(plan.bytes)}, ${db(plan.sqnr)} dB`);
    byId('plan-value').textContent = bytes(plan.bytes);
    const figure = (value, unit, what, kind) => html(
        'div', {class: `figure ${kind}`}, html('b', {}, value, html('small', {}, ` ${unit}`)),
        html('span', {}, what));
    const more = plan.bytes / now.bytes - 1;
    byId('plan-figures')
        .replaceChildren(
            figure(
                db(plan.sqnr), 'dB', `estimated SQNR of the outputs; now ${db(now.sqnr)} dB`,
                'everything'),
            figure(
                `${more >= 0 ? '+' : '−'}${fixed(Math.abs(100 * more), 1)}`, '%',
                `memory of weights and one image’s activations; now ${bytes(now.bytes)}`, ''),
            figure(String(changed.length), '', `of ${layers.length} layers change`, ''));
    const head = ['layer', 'now', 'planned', 'SQNR with it alone (dB)', 'memory'].map(
        (text) => html('th', {scope: 'col'}, text));
    byId('plan-table')
        .replaceChildren(
            changed.length === 0 ?
                html('p', {}, 'Nothing changes: move the slider, or choose a target.') :
                html(
                    'table', {class: 'plain'}, html('thead', {}, html('tr', {}, ...head)),
                    html('tbody', {}, ...changed.map(([layer, option]) => lineOf(layer, option)))));
    const code = codeOf(new Map(changed));
    byId('plan-code')
        .replaceChildren(
            ...(code ?
                    [
                      html('p', {class: 'small'}, 'In a program, before compute_encodings:'),
                      summary.command(code)
                    ] :
                    []));
    drawPath(now, plan);
  }

  function drawPath(now, plan) {
    const point = ({bytes: x, sqnr: y}) => ({x: x / 1000, y: Math.min(y, 99)});
    charts.draw(byId('plan-chart'), {
      type: 'scatter',
      height: 300,
      say: `Estimated SQNR of the outputs over memory; now ${db(now.sqnr)} dB, planned ${
          db(plan.sqnr)} dB`,
      datasets: [
        {
          label: 'planned',
          data: [point(plan)],
          pointRadius: 8,
          backgroundColor: (color) => color('orange'),
          order: 0
        },
        {
          label: 'now',
          data: [point(now)],
          pointRadius: 7,
          pointStyle: 'rectRot',
          backgroundColor: (color) => color('ink'),
          order: 1
        },
        {
          label: 'the best for each budget',
          data: path.map(point),
          showLine: true,
          borderWidth: 2,
          pointRadius: 2.5,
          borderColor: (color) => color('blue'),
          backgroundColor: (color) => color('blue'),
          order: 2
        },
      ],
      interaction: {mode: 'nearest', intersect: false},
      scales: {
        x: {title: 'weights and activations of an image (kB)', type: 'linear'},
        y: {title: 'estimated SQNR (dB)'}
      },
      tooltip: {
        label: (item) =>
            `${item.dataset.label}: ${fixed(item.parsed.x, 1)} kB, ${db(item.parsed.y)} dB`
      },
      table: () => ({
        columns: ['memory', 'estimated SQNR (dB)'],
        rows: path.map((each) => [bytes(each.bytes), db(each.sqnr)])
      }),
    });
  }

  function restart() {
    model = models[Number(byId('plan-model').value)];
    layers = layersOf();
    byId('plan-rest').hidden = layers.length === 0;
    byId('plan-note').textContent = 'There are no figures of single layers to plan with.';
    if (layers.length === 0) return;
    path = pathOf(byId('plan-from').value === 'now');
    byHand = new Map();
    byId('plan-budget').max = String(path.length - 1);
    reach(byId('plan-target').valueAsNumber);
  }

  /// Plans as little as is as good as that, or, where nothing is, what is within 1 dB of the best.
  function reach(target) {
    const best = path.at(-1).sqnr, isPossible = best >= target;
    at = path.findIndex((each) => each.sqnr >= (isPossible ? target : best - 1));
    byId('plan-note').textContent = isPossible ?
        '' :
        `${target} dB cannot be reached by bits alone: at most ${db(best)} dB, by this estimate. ` +
            'Training with quantization (rung qat) may.';
    byHand = new Map();
    update();
  }

  byId('plan-model')
      .replaceChildren(
          ...models.map((m, i) => html('option', {value: String(i)}, `${m.letter}  ${m.name}`)));
  byId('plan-model').closest('label').hidden = models.length < 2;
  for (const id of ['plan-model', 'plan-from']) byId(id).addEventListener('input', restart);
  byId('plan-budget').addEventListener('input', (event) => {
    at = Number(event.target.value);
    byHand = new Map();
    update();
  });
  byId('plan-target')
      .addEventListener(
          'change',
          (event) =>
              Number.isFinite(event.target.valueAsNumber) && reach(event.target.valueAsNumber));
  sections.push({id: 'plan', draw: restart});
})();
