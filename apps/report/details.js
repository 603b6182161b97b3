'use strict';
// Everything about one layer, in a dialog: a click on its row, its bar or its node opens it.

const details = (() => {
  const {html, show} = elements;
  const {db, percent, whole, bytes, fixed} = data;
  const dialog = document.getElementById('details');

  const line = (what, value) =>
      html('tr', {}, html('th', {scope: 'row'}, what), html('td', {}, value));

  function figures(model, row) {
    const lines = [];
    const add = (what, value, when = true) => when && lines.push(line(what, value));
    const known = (x) => !Number.isNaN(x);
    const {metric} = model.analysis;
    add('Output', row.shape.join(' × '), row.shape.length > 0);
    add('Bits', row.bits.text, row.bits.text !== '');
    add(`Network with this layer alone quantized, ${data.metric(metric).title}`,
        data.withUnit(metric, row.alone), known(row.alone));
    add(`Network with all but this layer, ${data.metric(metric).title}`,
        data.withUnit(metric, row.allBut), known(row.allBut));
    add('SQNR of its output in the quantized network', `${db(row.output)} dB`, known(row.output));
    add('SQNR of its output with float inputs', `${db(row.own)} dB`, known(row.own));
    add('… of that by its weights', `${db(row.ownWeights)} dB`, known(row.ownWeights));
    add('… of that by its output’s quantizer', `${db(row.ownOutput)} dB`, known(row.ownOutput));
    for (const [bits, at] of Object.entries(row.at))
      add(`Network if it had ${bits} bits, estimated`,
          `${db(at.network)} dB, weights ${bytes(at.bytes)}`);
    add('Multiplications of an image', whole(row.macs), row.macs > 0);
    add('Parameters', `${whole(row.parameters)}, ${bytes(row.bytes)} quantized`,
        row.parameters > 0);
    add('Time of an image in float', `${show(row.microseconds)} µs`, row.microseconds > 0);
    add('Sums in whole numbers', `${row.observedBits} bits seen, at most ${row.worstBits}`,
        known(row.worstBits));
    return lines;
  }

  function quantizerLine(model, quantizer) {
    const go = html('button', {type: 'button', class: 'link'}, quantizer.name);
    go.addEventListener('click', () => {
      dialog.close();
      tensors.show(model, quantizer.name);
    });
    const clipped = data.clippedOf(quantizer);
    return html(
        'tr', {}, html('th', {scope: 'row'}, go),
        html('td', {}, `${quantizer.bitwidth} bits ${quantizer.symmetry}`),
        html('td', {}, `${db(data.number(quantizer.error.sqnr_db))} dB`),
        html('td', {}, Number.isNaN(clipped) ? '' : `${percent(clipped)} % clipped`));
  }

  function neighbours(model, title, names) {
    if (names.length === 0) return [];
    const buttons = names.map((name) => {
      const button = html('button', {type: 'button', class: 'link'}, name);
      if (model.byName.has(name))
        button.addEventListener('click', () => open(model, name));
      else
        button.disabled = true;
      return button;
    });
    return [html('p', {class: 'neighbours'}, html('span', {}, `${title} `), ...buttons)];
  }

  /// Shows a layer of a model.
  function open(model, name) {
    const row = model.byName.get(name);
    if (!row) return;
    const readers =
        model.rows.filter((each) => each.inputs.includes(name)).map((each) => each.name);
    const close = html('button', {type: 'button', class: 'close', 'aria-label': 'Close'}, '✕');
    close.addEventListener('click', () => dialog.close());
    const inGraph = html('button', {type: 'button'}, 'Show in the graph');
    inGraph.addEventListener('click', () => {
      dialog.close();
      network.find(model, name);
    });
    dialog.replaceChildren(
        html('div', {class: 'head'}, html('h2', {}, name), close),
        html(
            'p', {class: 'small'},
            `${row.type}${data.isCompared ? `, model ${model.letter}` : ''}`),
        html('table', {class: 'plain'}, html('tbody', {}, ...figures(model, row))),
        ...(row.quantizers.length > 0 ?
                [
                  html('h3', {}, 'Quantizers'),
                  html(
                      'table', {class: 'plain'},
                      html('tbody', {}, ...row.quantizers.map((q) => quantizerLine(model, q))))
                ] :
                []),
        ...neighbours(model, 'Reads', row.inputs), ...neighbours(model, 'Is read by', readers),
        ...(row.layer ? [inGraph] : []));
    if (!dialog.open) dialog.showModal();
    dialog.scrollTop = 0;
  }

  // A click beside it closes it.
  dialog.addEventListener('click', (event) => event.target === dialog && dialog.close());

  return {open};
})();
