'use strict';
// Tables that can be sorted by every column and filtered by what is typed.

const tables = (() => {
  const {html} = elements;

  /// Unknown numbers come last, whichever way.
  function compare(a, b, down) {
    const unknown = (x) => typeof x === 'number' && Number.isNaN(x);
    if (unknown(a) || unknown(b)) return unknown(a) - unknown(b);
    const order = typeof a === 'string' ? a.localeCompare(b, 'en', {numeric: true}) :
        a < b                           ? -1 :
        a > b                           ? 1 :
                                          0;
    return down ? -order : order;
  }

  /// Makes a table in `place`: {caption, columns: [{title, hint, value(row), text(row),
  /// grade(row)}], rows, words(row): what a filter looks in, kinds: {label, of(row)}: a list to
  /// choose from, open(row): what a click on the first column does, sort: [column, down]}.
  function draw(place, spec) {
    let [by, down] = spec.sort || [0, false];
    const count = html('span', {class: 'small', role: 'status'});
    const filter = html(
        'input',
        {type: 'search', placeholder: 'part of a name', 'aria-label': `Filter: ${spec.caption}`});
    const kind = html(
        'select', {'aria-label': spec.kinds.label}, html('option', {value: ''}, spec.kinds.label),
        ...[...new Set(spec.rows.map(spec.kinds.of))].sort().map(
            (text) => html('option', {value: text}, text)));
    const body = html('tbody');
    const heads = spec.columns.map((column, i) => {
      const button = html('button', {type: 'button', title: column.hint || ''}, column.title);
      button.addEventListener('click', () => {
        down = by === i ? !down : false;
        by = i;
        fill();
      });
      return html(
          'th', {scope: 'col', class: column.grade || column.isNumber ? 'number' : ''}, button);
    });

    function lineOf(row) {
      const cells = spec.columns.map((column, i) => {
        const text = column.text(row);
        if (i === 0 && spec.open) {
          const button = html('button', {type: 'button', class: 'link'}, text);
          button.addEventListener('click', () => spec.open(row));
          return html('th', {scope: 'row'}, button);
        }
        const cell = html(i === 0 ? 'th' : 'td', i === 0 ? {scope: 'row'} : {}, text);
        if (column.isNumber || column.grade) cell.classList.add('number');
        const grade = column.grade ? column.grade(row) : -1;
        if (grade >= 0) cell.classList.add(`q${grade}`, 'graded');
        return cell;
      });
      return html('tr', {}, ...cells);
    }
    const lines = new Map(spec.rows.map((row) => [row, lineOf(row)]));

    function fill() {
      const text = filter.value.trim().toLowerCase();
      const shown = spec.rows.filter(
          (row) => (!kind.value || spec.kinds.of(row) === kind.value) &&
              spec.words(row).toLowerCase().includes(text));
      const {value} = spec.columns[by];
      shown.sort((a, b) => compare(value(a), value(b), down));
      body.replaceChildren(...shown.map((row) => lines.get(row)));
      heads.forEach(
          (head, i) => i === by ?
              head.setAttribute('aria-sort', down ? 'descending' : 'ascending') :
              head.removeAttribute('aria-sort'));
      count.textContent = shown.length === spec.rows.length ?
          `${shown.length} rows` :
          `${shown.length} of ${spec.rows.length} rows`;
    }
    filter.addEventListener('input', fill);
    kind.addEventListener('input', fill);
    place.replaceChildren(
        html('div', {class: 'bar'}, filter, kind, count),
        html(
            'div', {class: 'scroll tall', tabindex: 0, role: 'group', 'aria-label': spec.caption},
            html(
                'table', {class: 'sortable'}, html('caption', {class: 'offscreen'}, spec.caption),
                html('thead', {}, html('tr', {}, ...heads)), body)));
    fill();
  }

  return {draw};
})();
