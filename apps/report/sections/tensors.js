'use strict';
// One tensor at a time: how its numbers are distributed, its range drawn on them, its channels, and
// a table of all quantizers.

const tensors = (() => {
  const {html, show: text} = elements;
  const {models, isCompared, db, percent, whole, number} = data;
  const byId = (id) => document.getElementById(id);
  const smallest = (list) => list.reduce((least, x) => Math.min(least, x), Infinity);
  const greatest = (list) => list.reduce((most, x) => Math.max(most, x), -Infinity);

  /// The range of a quantizer: the widest of its channels'.
  const rangeOf = (q) => ({min: smallest(q.min.map(number)), max: greatest(q.max.map(number))});

  /// Draws the bins of a histogram, the range and its ends.
  const histogramPlugin = {
    id: 'histogram',
    beforeDatasetsDraw(chart) {
      const {quantizer, counts, width, low} = chart.options.plugins.histogram;
      const {ctx, chartArea: area, scales: {x, y}} = chart;
      const range = rangeOf(quantizer);
      const clamp = (px) => Math.min(area.right, Math.max(area.left, px));
      ctx.save();
      ctx.fillStyle = charts.faint('blue', 10);
      ctx.fillRect(
          clamp(x.getPixelForValue(range.min)), area.top,
          clamp(x.getPixelForValue(range.max)) - clamp(x.getPixelForValue(range.min)),
          area.bottom - area.top);
      const inside = charts.color('blue'), outside = charts.color('orange');
      const bottom = y.getPixelForValue(y.min);
      counts.forEach((count, i) => {
        if (!(count > 0)) return;
        const from = low + i * width, middle = from + width / 2;
        const left = x.getPixelForValue(from), right = x.getPixelForValue(from + width),
              top = y.getPixelForValue(count);
        ctx.fillStyle = middle < range.min || middle > range.max ? outside : inside;
        ctx.fillRect(
            left, Math.min(top, bottom - 1), Math.max(1, right - left - 0.5),
            Math.max(1, bottom - top));
      });
      ctx.strokeStyle = charts.color('ink');
      ctx.lineWidth = 2;
      ctx.setLineDash([6, 4]);
      for (const end of [range.min, range.max]) {
        ctx.beginPath();
        ctx.moveTo(clamp(x.getPixelForValue(end)), area.top);
        ctx.lineTo(clamp(x.getPixelForValue(end)), area.bottom);
        ctx.stroke();
      }
      // Few codes: a mark for each.
      const codes = 2 ** quantizer.bitwidth - 1;
      if (codes <= 64 && quantizer.min.length === 1 && quantizer.codes) {
        ctx.setLineDash([]);
        ctx.lineWidth = 1;
        for (let i = 0; i <= codes; ++i) {
          const at = x.getPixelForValue(range.min + ((range.max - range.min) * i) / codes);
          ctx.beginPath();
          ctx.moveTo(at, area.bottom);
          ctx.lineTo(at, area.bottom + 5);
          ctx.stroke();
        }
      }
      ctx.restore();
    }
  };

  function drawHistogram(place, quantizer, isLogarithmic) {
    const {min, max, counts} = quantizer.statistics.distribution;
    const low = number(min), high = number(max), numbers = counts.map(number);
    if (numbers.length === 0 || !(high > low)) {
      place.replaceChildren(html(
          'p', {class: 'small'},
          high === low ? `All numbers are ${text(low)}.` : 'There are no numbers.'));
      return;
    }
    const width = (high - low) / numbers.length;
    const range = rangeOf(quantizer);
    const from = Math.min(low, range.min), to = Math.max(high, range.max),
          room = (to - from) * 0.03;
    const all = numbers.reduce((sum, x) => sum + x, 0);
    charts.draw(place, {
      type: 'scatter',
      height: 300,
      say: `Histogram of ${quantizer.name} from ${text(low)} to ${text(high)}; its range is ${
          text(range.min)} to ${text(range.max)}`,
      datasets: [{
        label: 'numbers',
        data: numbers.map((count, i) => ({x: low + (i + 0.5) * width, y: count})),
        pointRadius: 0,
        pointHitRadius: 8
      }],
      scales: {
        x: {
          title: 'number',
          type: 'linear',
          min: from - room,
          max: to + room,
          ticks: {includeBounds: false, callback: (value) => text(value, 3)}
        },
        y: {
          title: 'how many',
          type: isLogarithmic ? 'logarithmic' : 'linear',
          min: isLogarithmic ? 0.5 : 0,
          ticks: {callback: (value) => text(value, 2), maxTicksLimit: 7}
        }
      },
      interaction: {mode: 'nearest', axis: 'x', intersect: false},
      tooltip: {
        label: (item) => `${whole(item.parsed.y)} numbers (${
            percent(item.parsed.y / all)} %) around ${text(item.parsed.x)}`
      },
      plugins: [histogramPlugin],
      pluginOptions: {histogram: {quantizer, counts: numbers, width, low}},
      table: () => ({
        columns: ['from', 'to', 'how many'],
        rows: numbers.map(
            (count, i) => [text(low + i * width), text(low + (i + 1) * width), whole(count)])
      }),
    });
  }

  function drawChannels(place, quantizer) {
    const lows = quantizer.statistics.channel_min.map(number),
          highs = quantizer.statistics.channel_max.map(number);
    if (lows.length < 2) {
      place.replaceChildren();
      return;
    }
    const scales = quantizer.min.length;
    const of = (list, i) => number(list.length === 1 ? list[0] : list[i]);
    // One range for several channels (blocks) is not drawn channel by channel.
    const hasRange = scales === 1 || scales === lows.length;
    const ranges =
        lows.map((_, i) => (hasRange ? [of(quantizer.min, i), of(quantizer.max, i)] : null));
    const bar = {grouped: false, barPercentage: 1};
    charts.draw(place, {
      type: 'bar',
      height: 260,
      say: `Smallest and largest number of each of ${lows.length} channels of ${
          quantizer.name}, and the range`,
      labels: lows.map((_, i) => String(i)),
      datasets: [
        {
          ...bar,
          label: 'numbers',
          data: lows.map((low, i) => [low, highs[i]]),
          categoryPercentage: 0.55,
          minBarLength: 2,
          backgroundColor: (color) => color('blue'),
          order: 1
        },
        {
          ...bar,
          label: 'range of the quantizer',
          data: ranges,
          categoryPercentage: 1,
          backgroundColor: (_, faint) => faint('orange', 28),
          order: 2
        },
      ],
      scales: {
        x: {title: 'channel', grid: {display: false}, ticks: {maxRotation: 0, autoSkipPadding: 12}},
        y: {title: 'number', ticks: {callback: (value) => text(value, 3)}}
      },
      tooltip: {
        title: (items) => `channel ${items[0].label}`,
        label: (item) =>
            `${item.dataset.label}: ${item.raw ? item.raw.map((x) => text(x)).join(' to ') : ''}`
      },
      table: () => ({
        columns: ['channel', 'min', 'max', 'range'],
        rows: lows.map(
            (low, i) =>
                [String(i), text(low), text(highs[i]),
                 ranges[i] ? ranges[i].map((x) => text(x)).join(' to ') : ''])
      }),
    });
  }

  function facts(q) {
    const s = q.statistics, range = rangeOf(q);
    const lines = [
      [
        'Quantizer',
        `${q.bitwidth} bits, ${q.symmetry}, ${q.kind}${
            q.per_channel ? `, ${q.min.length} scales` : ''}`
      ],
      [
        'Range',
        q.min.length > 1 ? `widest ${text(range.min)} to ${text(range.max)}` :
                           `${text(range.min)} to ${text(range.max)}`
      ],
      [
        'Numbers',
        `${text(number(s.min))} to ${text(number(s.max))}, mean ${
            text(number(s.mean))}, deviation ${text(number(s.deviation))}`
      ],
      [
        '99.8 % of them',
        s.percentiles.length === 9 ?
            `${text(number(s.percentiles[0]))} to ${text(number(s.percentiles[8]))}` :
            '–'
      ],
      ['SQNR', `${db(number(q.error.sqnr_db))} dB`],
    ];
    if (q.codes) {
      const {
        clipped_below: below,
        clipped_above: above,
        clipping_mse: clipping,
        rounding_mse: rounding
      } = q.codes;
      const share = number(clipping) / (number(clipping) + number(rounding));
      lines.push(
          ['Clipped', `${percent(number(below))} % below, ${percent(number(above))} % above`]);
      lines.push([
        'Error',
        Number.isNaN(share) ?
            'none' :
            `${percent(share, 0)} % by clipping, ${percent(1 - share, 0)} % by rounding`
      ]);
      lines.push([
        'Codes that occur', `${percent(number(q.codes.used), 0)} % of ${whole(2 ** q.bitwidth)}`
      ]);
      lines.push(['Numbers on a tie', `${percent(number(q.codes.ties))} %`]);
    }
    if (s.channel_min.length > 1)
      lines.push([
        'Channels',
        `${s.channel_min.length}, ${s.dead_channels} dead, the largest ${
            text(number(s.channel_spread))} times the middle one`
      ]);
    return html(
        'table', {class: 'plain facts'},
        html(
            'tbody', {},
            ...lines.map(
                ([what, value]) =>
                    html('tr', {}, html('th', {scope: 'row'}, what), html('td', {}, value)))));
  }

  const names = [...new Set(models.flatMap((model) => [...model.quantizers.keys()]))];
  // The worst one first.
  const worst = [...models.at(-1).quantizers.values()].reduce(
      (least, q) => (number(q.error.sqnr_db) < number(least.error.sqnr_db) ? q : least),
      models.at(-1).quantizers.values().next().value);
  let chosen = worst?.name;

  function drawOne() {
    byId('tensor-choice').value = chosen;
    const isLogarithmic = byId('tensor-log').checked;
    const parts = models.filter((model) => model.quantizers.has(chosen)).map((model) => {
      const quantizer = model.quantizers.get(chosen);
      const part = html('div', {class: 'tensor'}), histogram = html('div'), channels = html('div');
      part.append(
          ...(isCompared ? [html('h3', {}, `${model.letter}  ${model.name}`)] : []), histogram,
          channels, facts(quantizer));
      return {
        part,
        draw: () =>
            (drawHistogram(histogram, quantizer, isLogarithmic), drawChannels(channels, quantizer))
      };
    });
    byId('tensor-charts').replaceChildren(...parts.map((each) => each.part));
    byId('tensor-charts').classList.toggle('two', parts.length > 1);
    for (const each of parts) each.draw();
  }

  /// Shows a quantizer and takes the reader there.
  function show(model, name) {
    chosen = name;
    byId('tensors').scrollIntoView();
    drawOne();
    byId('tensor-choice').focus({preventScroll: true});
  }

  const column = (title, hint, value, shown, grade) =>
      ({title, hint, value, text: shown, isNumber: true, ...(grade ? {grade} : {})});

  function drawTable() {
    const list = models.flatMap((model) => {
      const single = new Map(
          model.analysis.quantizers_sensitivity.map((each) => [each.name, number(each.alone)]));
      return [...model.quantizers.values()].map(
          (q, order) => ({model, q, order, alone: single.has(q.name) ? single.get(q.name) : NaN}));
    });
    const {metric} = models[0].analysis;
    const sqnr = ({q}) => number(q.error.sqnr_db);
    const of = (key) => ({q}) => (q.codes ? number(q.codes[key]) : NaN);
    const share = (key) => (row) => (row.q.codes ? percent(of(key)(row)) : '');
    tables.draw(byId('tensor-table'), {
      caption: 'Quantizers',
      rows: list,
      columns: [
        {
          title: 'quantizer',
          hint: 'network order',
          value: (row) => row.order,
          text: (row) => row.q.name
        },
        ...(isCompared ? [{
          title: 'model',
          value: (row) => row.model.letter,
          text: (row) => row.model.letter
        }] :
                         []),
        {title: 'of', value: ({q}) => q.place, text: ({q}) => q.place},
        column('bits', '', ({q}) => q.bitwidth, ({q}) => String(q.bitwidth)),
        {title: 'codes', value: ({q}) => q.symmetry, text: ({q}) => q.symmetry},
        column('min', 'of the range', ({q}) => rangeOf(q).min, ({q}) => text(rangeOf(q).min)),
        column('max', 'of the range', ({q}) => rangeOf(q).max, ({q}) => text(rangeOf(q).max)),
        column(
            'SQNR dB', 'of the tensor', sqnr, (row) => db(sqnr(row)),
            (row) => data.grade(sqnr(row))),
        // With --per-quantizer.
        ...(list.some((row) => !Number.isNaN(row.alone)) ?
                [column(
                    'alone', `${data.axisTitle(metric)} of the network with it alone quantized`,
                    (row) => row.alone, (row) => data.shown(metric, row.alone),
                    metric === 'sqnr' ? (row) => data.grade(row.alone) : undefined)] :
                []),
        column(
            'clipped %', 'share of its numbers outside the range', ({q}) => data.clippedOf(q),
            ({q}) => (q.codes ? percent(data.clippedOf(q)) : '')),
        column('used %', 'share of its codes that occur', of('used'), share('used')),
        column(
            'ties %', 'share of numbers in the middle between two codes', of('ties'),
            share('ties')),
      ],
      words: (row) => row.q.name,
      kinds: {label: 'all places', of: (row) => row.q.place},
      open: (row) => show(row.model, row.q.name),
    });
  }

  function draw() {
    if (names.length === 0) return;
    byId('tensor-choice')
        .replaceChildren(...names.map((name) => html('option', {value: name}, name)));
    drawOne();
    drawTable();
  }
  const step = (by) => {
    chosen = names[(names.indexOf(chosen) + by + names.length) % names.length];
    drawOne();
  };
  byId('tensor-choice')
      .addEventListener('input', (event) => (chosen = event.target.value, drawOne()));
  byId('tensor-log').addEventListener('input', drawOne);
  byId('tensor-previous').addEventListener('click', () => step(-1));
  byId('tensor-next').addEventListener('click', () => step(1));

  sections.push({id: 'tensors', draw});
  return {show};
})();
