'use strict';
// Which layers hurt: a bar for each.

(() => {
  const {models, isCompared} = data;
  const byId = (id) => document.getElementById(id);
  const FEW = 30;

  const KINDS = {
    alone: {title: 'this layer alone quantized', metric: () => models[0].analysis.metric},
    allBut: {title: 'all but this layer quantized', metric: () => models[0].analysis.metric},
    output: {title: 'its output in the quantized network', metric: () => 'sqnr'},
    own: {title: 'its output with float inputs', metric: () => 'sqnr'},
  };

  /// The layers to show: the worst first, of the first model that has them.
  function chosen(kind, order) {
    const name = KINDS[kind].metric();
    // Without a layer the network gets better: there, the best is the one to look at.
    const sign = (data.isLossLike(name) ? -1 : 1) * (kind === 'allBut' ? -1 : 1);
    const all = new Map();
    for (const model of models)
      for (const row of model.rows)
        if (!Number.isNaN(row[kind]) && !all.has(row.name)) all.set(row.name, row);
    const list = [...all.values()];
    if (order === 'worst')
      list.sort((a, b) => sign * (a[kind] === b[kind] ? 0 : a[kind] - b[kind]));
    return list;
  }

  function draw() {
    const kind = byId('sensitivity-kind').value, order = byId('sensitivity-order').value;
    const name = KINDS[kind].metric();
    const all = chosen(kind, order);
    const list = byId('sensitivity-all').checked ? all : all.slice(0, FEW);
    byId('sensitivity-count').textContent = `${list.length} of ${all.length} layers`;
    if (all.length === 0)
      return byId('sensitivity-chart').replaceChildren('There are no figures of single layers.');
    const finite = models.flatMap((m) => m.rows.map((row) => data.inUnits(name, row[kind])))
                       .filter(Number.isFinite);
    const top = Math.max(...finite, 0);
    // What loses nothing has no end; its bar goes to the end of the chart.
    const drawn = (value) => (value === Infinity ? top : Number.isFinite(value) ? value : null);
    const value = (model, row) =>
        model.byName.has(row.name) ? data.inUnits(name, model.byName.get(row.name)[kind]) : NaN;
    const graded = name === 'sqnr' && !isCompared;
    charts.draw(byId('sensitivity-chart'), {
      type: 'bar',
      horizontal: true,
      height: 70 + list.length * (isCompared ? 30 : 21),
      say: `${data.axisTitle(name)} for each layer: ${KINDS[kind].title}`,
      labels: list.map((row) => charts.short(row.name)),
      datasets:
          models.map((model, i) => ({
                       label: isCompared ? `${model.letter}  ${model.name}` : data.axisTitle(name),
                       data: list.map((row) => drawn(value(model, row))),
                       maxBarThickness: 20,
                       backgroundColor: (color) => graded ?
                           list.map((row) => color(`q${Math.max(0, data.grade(row[kind]))}`)) :
                           color(i === 0 ? 'blue' : 'orange'),
                     })),
      scales: {
        x: {title: data.axisTitle(name), position: 'top', beginAtZero: true},
        y: {grid: {display: false}, ticks: {autoSkip: false}}
      },
      tooltip: {
        title: (items) => list[items[0].dataIndex].name,
        label: (item) => `${isCompared ? `${models[item.datasetIndex].letter}: ` : ''}${
            data.withUnit(
                name,
                value(models[item.datasetIndex], list[item.dataIndex]) /
                    (data.metric(name).factor || 1))}`
      },
      onClick: (index) =>
          details.open(models.find((m) => m.byName.has(list[index].name)), list[index].name),
      table: () => ({
        columns: ['layer', ...models.map((m) => m.name)],
        rows: list.map(
            (row) =>
                [row.name,
                 ...models.map(
                     (m) => m.byName.has(row.name) ?
                         data.withUnit(name, m.byName.get(row.name)[kind]) :
                         '')])
      }),
    });
  }

  for (const id of ['sensitivity-kind', 'sensitivity-order', 'sensitivity-all'])
    byId(id).addEventListener('input', draw);
  sections.push({id: 'sensitivity', draw});
})();
