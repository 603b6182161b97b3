'use strict';
// The table of all layers.

(() => {
  const {models, isCompared, db, percent, whole, bytes, fixed} = data;
  const {show} = elements;

  /// A column of one model's rows. `row[side]` is the row of that model, if it has the layer.
  const column = (title, hint, key, text, more = {}) => (side, suffix) => ({
    title: title + suffix,
    hint,
    isNumber: true,
    value: (row) => (row[side] ? row[side][key] : NaN),
    text: (row) =>
        (row[side] && !Number.isNaN(row[side][key]) ? text(row[side][key], row[side]) : ''),
    ...(more.grade ? {grade: (row) => (row[side] ? data.grade(row[side][key]) : -1)} : {}),
  });

  const name = models[0].analysis.metric;
  const figure = (value) => data.shown(name, value);
  const bits = (side, suffix) => ({
    title: `bits${suffix}`,
    hint: 'of its weights and of what it gives',
    value: (row) => row[side]?.bits.text || '',
    text: (row) => row[side]?.bits.text || ''
  });
  const alone = column(
      'alone', `${data.axisTitle(name)} of the network’s outputs with this layer alone quantized`,
      'alone', figure, {grade: name === 'sqnr'});
  const output = column(
      'output', 'SQNR in dB of the layer’s output in the quantized network', 'output', db,
      {grade: true});
  const clipped = column(
      'clipped %', 'largest share of one of its tensors that lies outside its range', 'clipped',
      (x) => percent(x));

  const single = [
    alone,
    column(
        'all but', 'the same with all other layers quantized', 'allBut', figure,
        {grade: name === 'sqnr'}),
    output,
    column('own', 'SQNR in dB of its output with float inputs', 'own', db, {grade: true}),
    clipped,
    column('weights', 'bytes of its quantized weights', 'bytes', (x) => (x > 0 ? bytes(x) : '')),
    column('MACs', 'multiplications of one image', 'macs', (x) => (x > 0 ? whole(x) : '')),
    column(
        'µs', 'time of one image in float, on the machine of the analysis', 'microseconds',
        (x) => (x > 0 ? show(x, 3) : '')),
    column(
        'sums', 'bits of its sums in whole numbers: seen, and at most', 'worstBits',
        (x, row) => `${row.observedBits} / ${x}`),
  ];

  function change(title, key, text) {
    const value = (row) =>
        (row.a && row.b ? (row.a[key] === row.b[key] ? 0 : row.b[key] - row.a[key]) : NaN);
    return {
      title,
      isNumber: true,
      hint: 'B minus A',
      value,
      text: (row) =>
          (Number.isNaN(value(row)) ? '' : `${value(row) > 0 ? '+' : ''}${text(value(row))}`)
    };
  }

  function columns() {
    const first =
        {title: 'layer', hint: 'network order', value: (row) => row.order, text: (row) => row.name};
    const type = {title: 'type', value: (row) => row.type, text: (row) => row.type};
    if (!isCompared) {
      const shape = {
        title: 'output',
        hint: 'shape',
        value: (row) => row.a.numbers,
        text: (row) => row.a.shape.slice(1).join('×')
      };
      return [
        first, type, {...shape, title: 'shape'}, bits('a', ''),
        ...single.map((each) => each('a', ''))
      ];
    }
    return [
      first, type, bits('a', ' A'), bits('b', ' B'), alone('a', ' A'), alone('b', ' B'),
      change('alone B−A', 'alone', figure), output('a', ' A'), output('b', ' B'),
      change('output B−A', 'output', db), clipped('a', ' A'), clipped('b', ' B')
    ];
  }

  /// A row for each layer that any of the models has.
  function rows() {
    const all = new Map();
    models.forEach((model, i) => model.rows.forEach((row) => {
      const side = 'ab'[i];
      if (!all.has(row.name))
        all.set(row.name, {name: row.name, type: row.type, order: row.order + (i > 0 ? 0.5 : 0)});
      all.get(row.name)[side] = row;
    }));
    return [...all.values()]
        .sort((x, y) => x.order - y.order)
        .map((row, order) => ({...row, order}));
  }

  function draw() {
    const list = rows();
    document.getElementById('layers-metric').textContent = data.axisTitle(name);
    tables.draw(document.getElementById('layers-table'), {
      caption: 'Layers',
      columns: columns(),
      rows: list,
      words: (row) => `${row.name} ${row.type}`,
      kinds: {label: 'all types', of: (row) => row.type},
      open: (row) => details.open(row.a ? models[0] : models[1], row.name),
    });
  }

  sections.push({id: 'layers', draw});
})();
