'use strict';
// Charts by Chart.js in the page's colors, each with its numbers as a table below it: for those who
// cannot see it, for copying, and where the page has no Chart.js.

const charts = (() => {
  const {html, show} = elements;
  const drawn = new Map();  // place -> {spec, chart}
  const hasLibrary = typeof Chart === 'function';

  const color = (name) =>
      getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  const faint = (name, share) => `color-mix(in srgb, ${color(name)} ${share}%, transparent)`;

  /// Titles, letters and lines of an axis.
  function scaleOf(axis = {}) {
    return {
      ...axis,
      title: {display: Boolean(axis.title), text: axis.title || '', color: color('quiet')},
      grid: {color: color('rule'), drawBorder: false, ...axis.grid},
      ticks: {color: color('quiet'), ...axis.ticks},
    };
  }

  function optionsOf(spec) {
    const scales = {};
    for (const [name, axis] of Object.entries(spec.scales || {})) scales[name] = scaleOf(axis);
    return {
      animation: false,
      responsive: true,
      maintainAspectRatio: false,
      indexAxis: spec.horizontal ? 'y' : 'x',
      interaction:
          spec.interaction || {mode: 'index', intersect: false, axis: spec.horizontal ? 'y' : 'x'},
      onClick: spec.onClick ? (event, found) => found.length && spec.onClick(found[0].index) :
                              undefined,
      scales,
      plugins: {
        legend: {
          display: spec.datasets.length > 1 && spec.legend !== false,
          position: 'top',
          align: 'start',
          labels: {color: color('ink'), boxWidth: 14, boxHeight: 14}
        },
        tooltip: {callbacks: spec.tooltip || {}, displayColors: spec.datasets.length > 1},
        ...(spec.pluginOptions || {}),
      },
    };
  }

  /// Resolves the colors that are names now, in the present theme.
  function datasetsOf(spec) {
    const resolve = (value) => (typeof value === 'function' ? value(color, faint) : value);
    return spec.datasets.map((each) => {
      const copy = {...each};
      for (const key of ['backgroundColor', 'borderColor', 'hoverBackgroundColor'])
        if (key in copy) copy[key] = resolve(copy[key]);
      return copy;
    });
  }

  function draw1(entry) {
    entry.chart?.destroy();
    const spec = entry.spec;
    Chart.defaults.font.family = getComputedStyle(document.body).fontFamily;
    Chart.defaults.font.size =
        Math.round(0.72 * parseFloat(getComputedStyle(document.documentElement).fontSize));
    entry.chart = new Chart(entry.canvas, {
      type: spec.type,
      data: {labels: spec.labels, datasets: datasetsOf(spec)},
      options: optionsOf(spec),
      plugins: spec.plugins || [],
    });
  }

  function tableOf({columns, rows}) {
    const cells = (kind, list) => list.map(
        (text, i) =>
            html(i === 0 ? 'th' : kind, {scope: i === 0 && kind === 'td' ? 'row' : 'col'}, text));
    return html(
        'table', {class: 'plain'}, html('thead', {}, html('tr', {}, ...cells('th', columns))),
        html('tbody', {}, ...rows.map((row) => html('tr', {}, ...cells('td', row)))));
  }

  /// Draws a chart into a place, which it empties: {type, labels, datasets, scales, horizontal,
  /// height (in pixels), say: what it shows, table: () => {columns, rows}, plugins,
  /// onClick(index)}.
  function draw(place, spec) {
    drawn.get(place)?.chart?.destroy();
    drawn.delete(place);
    place.replaceChildren();
    const numbers = html('details', {class: 'numbers'}, html('summary', {}, 'Numbers'));
    numbers.addEventListener('toggle', () => {
      if (numbers.open && numbers.children.length === 1)
        numbers.append(html(
            'div', {class: 'scroll', tabindex: 0, role: 'group', 'aria-label': spec.say},
            tableOf(spec.table())));
    });
    if (!hasLibrary) {
      place.append(
          html(
              'p', {class: 'small'},
              'This program was built without Chart.js: a table stands for the chart.'),
          numbers);
      numbers.open = true;
      return;
    }
    const canvas = html('canvas', {role: 'img', 'aria-label': spec.say});
    place.append(
        html('div', {class: 'chart', style: `height:${Math.round(spec.height || 340)}px`}, canvas),
        numbers);
    const entry = {spec, canvas};
    drawn.set(place, entry);
    draw1(entry);
  }

  /// Draws all charts again, in the colors of now.
  function redraw() {
    for (const entry of drawn.values()) draw1(entry);
  }

  const short = (text, most = 30) => text.length <= most ?
      text :
      `${text.slice(0, most / 2 - 1)}…${text.slice(text.length - most / 2)}`;

  return {draw, redraw, color, faint, short, show};
})();
