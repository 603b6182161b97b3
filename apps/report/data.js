'use strict';
// What the report is about: the models' analyses as they stand in the page, and what follows from
// them once, for all sections.

const data = (() => {
  const page = JSON.parse(document.getElementById('report').textContent);

  /// A number of the JSON, where those that are not finite are words.
  const WORDS = new Map([['inf', Infinity], ['-inf', -Infinity], ['nan', NaN]]);
  const number = (x) => (typeof x === 'number' ? x : WORDS.get(x) ?? NaN);

  // ---- metrics

  const METRICS = {
    sqnr: {title: 'SQNR', unit: 'dB', digits: 2},
    top1: {title: 'top1', unit: '%', digits: 2, factor: 100},
    agreement: {title: 'agreement', unit: '%', digits: 2, factor: 100},
    score: {title: 'score', unit: '', digits: 4},
    cosine: {title: 'cosine', unit: '', digits: 5},
    mse: {title: 'MSE', unit: '', digits: 0, small: true},
    kl: {title: 'KL divergence', unit: 'nats', digits: 0, small: true},
  };
  const metric = (name) => METRICS[name] || {title: String(name), unit: '', digits: 4};
  const isLossLike = (name) => name === 'mse' || name === 'kl';
  const inUnits = (name, value) => value * (metric(name).factor || 1);

  /// A number with as many decimals as say something.
  function fixed(value, digits) {
    if (value === null || value === undefined || Number.isNaN(value)) return '–';
    if (!Number.isFinite(value)) return value < 0 ? '−∞' : '∞';
    return value.toFixed(digits).replace('-', '−');
  }
  /// A metric's figure without its unit.
  function shown(name, value) {
    if (value === null || value === undefined) return '–';
    const {small, digits} = metric(name);
    return small ? elements.show(value, 4) : fixed(inUnits(name, value), digits);
  }
  const withUnit = (name, value) => `${shown(name, value)} ${metric(name).unit}`.trim();
  const axisTitle = (name) =>
      `${metric(name).title}${metric(name).unit ? ` (${metric(name).unit})` : ''}`;

  const db = (value) => fixed(value, 1);
  const percent = (share, digits = 2) => fixed(100 * share, digits);
  const GROUPS = /\B(?=(\d{3})+(?!\d))/g;
  const whole = (n) => String(Math.round(n)).replace(GROUPS, '\u202f');
  function bytes(n) {
    if (!Number.isFinite(n)) return '–';
    if (Math.abs(n) < 1000) return `${Math.round(n)} B`;
    return Math.abs(n) < 1e6 ? `${fixed(n / 1e3, 1)} kB` : `${fixed(n / 1e6, 2)} MB`;
  }

  /// How good an SQNR is, in 7 steps; -1: there is none.
  const STEPS = [10, 15, 20, 25, 30, 40];
  const grade = (sqnr) => sqnr === null || sqnr === undefined || Number.isNaN(sqnr) ?
      -1 :
      STEPS.filter((s) => sqnr >= s).length;

  // ---- models

  const largest = (list) => list.reduce((most, x) => Math.max(most, x), 0);
  const product = (list) => list.reduce((all, x) => all * x, 1);

  function clippedOf(quantizer) {
    const codes = quantizer.codes;
    return codes ? number(codes.clipped_below) + number(codes.clipped_above) : NaN;
  }

  /// Bits of a layer's weights and of what it gives, as W4 A8; of several the most common one.
  function bitsOf(quantizers) {
    const common = (list) => {
      const counts = new Map();
      for (const each of list) counts.set(each.bitwidth, (counts.get(each.bitwidth) || 0) + 1);
      return [...counts].sort((a, b) => b[1] - a[1])[0]?.[0];
    };
    const weight = common(quantizers.filter((q) => q.place === 'parameter'));
    const value = common(quantizers.filter((q) => q.place !== 'parameter'));
    return {
      weight,
      value,
      text: [weight && `W${weight}`, value && `A${value}`].filter(Boolean).join(' ')
    };
  }

  function rowOf(layer, sensitivity, quantizers, order) {
    const name = layer ? layer.name : sensitivity.name;
    const at =
        Object.fromEntries((layer?.at_bitwidths || []).map((each) => [each.bitwidth, {
                                                             bytes: number(each.weight_bytes),
                                                             alone: number(each.alone_sqnr_db),
                                                             network: number(each.network_sqnr_db)
                                                           }]));
    const first = layer?.at_bitwidths?.[0];
    const error = (part) => (part ? number(part.sqnr_db) : NaN);
    return {
      name,
      order,
      quantizers,
      at,
      layer,
      sensitivity,
      type: layer ? layer.type : 'input',
      inputs: layer ? layer.inputs : [],
      shape: layer ? layer.output_shape : [],
      bits: bitsOf(quantizers),
      alone: sensitivity ? number(sensitivity.alone) : NaN,
      allBut: sensitivity ? number(sensitivity.all_but) : NaN,
      aloneSqnr: sensitivity ? number(sensitivity.alone_error.sqnr_db) : NaN,
      allButSqnr: sensitivity ? number(sensitivity.all_but_error.sqnr_db) : NaN,
      output: error(layer?.accumulated),
      own: error(layer?.alone),
      ownWeights: error(layer?.alone_weights),
      ownOutput: error(layer?.alone_output),
      macs: layer ? number(layer.macs) : 0,
      parameters: layer ? number(layer.parameters) : 0,
      bytes: first ? number(first.weight_bytes) + number(first.saved_bytes) : NaN,
      numbers: layer && layer.output_shape.length > 0 ? product(layer.output_shape.slice(1)) : 0,
      microseconds: layer ? 1e6 * number(layer.seconds) : NaN,
      observedBits: layer?.accumulator ? layer.accumulator.observed_bits : NaN,
      worstBits: layer?.accumulator ? layer.accumulator.worst_case_bits : NaN,
      clipped: quantizers.some((q) => q.codes) ?
          largest(quantizers.filter((q) => q.codes).map(clippedOf)) :
          NaN,
      ties: quantizers.some((q) => q.codes) ?
          largest(quantizers.filter((q) => q.codes).map((q) => number(q.codes.ties))) :
          NaN,
    };
  }

  function modelOf(raw, letter) {
    const analysis = raw.analysis;
    const quantizers = new Map(analysis.quantizers.map((q) => [q.name, q]));
    const sensitivities = new Map(analysis.layers_sensitivity.map((s) => [s.name, s]));
    const listed = (names) => names.map((name) => quantizers.get(name)).filter(Boolean);
    const rows = [];
    const layers = new Set(analysis.layers.map((layer) => layer.name));
    // The network's inputs have quantizers, too, but are no layers.
    for (const each of analysis.layers_sensitivity)
      if (!layers.has(each.name))
        rows.push(rowOf(null, each, listed(each.quantizers), rows.length));
    for (const layer of analysis.layers)
      rows.push(rowOf(layer, sensitivities.get(layer.name), listed(layer.quantizers), rows.length));
    const sum = (of) => rows.reduce((total, row) => total + (of(row) || 0), 0);
    return {
      ...raw,
      letter,
      rows,
      byName: new Map(rows.map((row) => [row.name, row])),
      quantizers,
      outputs: number(analysis.outputs.sqnr_db),
      weightBytes: sum((row) => row.bytes),
      floatBytes: 4 * sum((row) => row.parameters),
      parameters: sum((row) => row.parameters),
      macs: number(analysis.cost.network_macs),
    };
  }

  const models = page.models.map((raw, i) => modelOf(raw, 'AB'[i]));
  const isCompared = models.length > 1;

  return {
    page,
    models,
    isCompared,
    number,
    metric,
    isLossLike,
    inUnits,
    fixed,
    shown,
    withUnit,
    axisTitle,
    db,
    percent,
    whole,
    bytes,
    grade,
    STEPS,
    clippedOf
  };
})();

// Each section puts {id, draw()} in here; it is drawn when it comes into sight.
const sections = [];
