'use strict';
// Which classes are taken for which: a table colored by how often.

(() => {
  const {html} = elements;
  const {models, percent, fixed} = data;
  const byId = (id) => document.getElementById(id);
  const shown = models.filter((model) => model.analysis.confusion);
  if (shown.length === 0) return;
  byId('confusion').hidden = false;
  byId('confusion-link').hidden = false;
  const MOST = 30;  // more classes are a list of the worst mistakes

  const classOf = ({analysis}, i) => analysis.confusion.class_names[i] ?? String(i);
  const sum = (list) => list.reduce((all, x) => all + x, 0);

  function matrix(model) {
    const {counts} = model.analysis.confusion;
    const names = counts.map((_, i) => classOf(model, i));
    const lines = counts.map((row, i) => {
      const all = sum(row);
      const cells = row.map((count, j) => {
        const share = all > 0 ? count / all : 0;
        const cell = html(
            'td', {
              class: i === j ? 'right' : 'wrong',
              style: `--share:${fixed(100 * Math.sqrt(share), 0)}%`,
              title: `${names[i]} taken for ${names[j]}: ${count} of ${all}`
            },
            count === 0 ? '' : String(count));
        return cell;
      });
      return html(
          'tr', {}, html('th', {scope: 'row'}, names[i]), ...cells,
          html('td', {class: 'number total'}, all > 0 ? `${percent(row[i] / all, 1)} %` : '–'));
    });
    const heads = ['label \\ answer', ...names, 'right'].map(
        (name, i) => html(
            'th', {scope: 'col', class: i > 0 && i <= names.length ? 'turned' : ''},
            html('span', {}, name)));
    return html(
        'div', {class: 'scroll', tabindex: 0, role: 'group', 'aria-label': 'Confusion matrix'},
        html(
            'table', {class: 'confusion'}, html('thead', {}, html('tr', {}, ...heads)),
            html('tbody', {}, ...lines)));
  }

  function mistakes(model) {
    const list = [];
    model.analysis.confusion.counts.forEach(
        (row, i) =>
            row.forEach((count, j) => i !== j && count > 0 && list.push([i, j, count, sum(row)])));
    list.sort((a, b) => b[2] - a[2]);
    const rows = list.slice(0, MOST).map(
        ([i, j, count, all]) => [classOf(model, i), classOf(model, j), `${count} of ${all}`]);
    return html(
        'table', {class: 'plain'},
        html(
            'thead', {},
            html(
                'tr', {},
                ...['label', 'answer', 'how often'].map((t) => html('th', {scope: 'col'}, t)))),
        html(
            'tbody', {},
            ...rows.map((cells) => html('tr', {}, ...cells.map((t) => html('td', {}, t))))));
  }

  function draw() {
    byId('confusion-tables')
        .replaceChildren(...shown.map(
            (model) => html(
                'div', {},
                ...(shown.length > 1 ? [html('h3', {}, `${model.letter}  ${model.name}`)] : []),
                model.analysis.confusion.counts.length <= MOST ? matrix(model) : mistakes(model))));
  }
  sections.push({id: 'confusion', draw});
})();
