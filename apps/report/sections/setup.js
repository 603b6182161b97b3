'use strict';
// What was analyzed, how it was quantized, and commands that give the same again.

(() => {
  const {html} = elements;
  const {models, isCompared, number, fixed, whole} = data;

  function table(rows) {
    return html(
        'table', {class: 'plain facts'},
        html(
            'tbody', {},
            ...rows.map(
                ([what, value]) =>
                    html('tr', {}, html('th', {scope: 'row'}, what), html('td', {}, value)))));
  }

  function draw() {
    const parts = models.map((model) => {
      const {cost} = model.analysis;
      const rows = [
        ...model.about, ['images analyzed', whole(cost.images)],
        [
          'cost of the analysis',
          `${fixed(number(cost.passes), 1)} passes over them, ${fixed(number(cost.seconds), 1)} s`
        ],
        [
          'float network',
          `${whole(model.parameters)} parameters, ${whole(model.macs)} multiplications an image`
        ]
      ];
      return html(
          'div', {}, ...(isCompared ? [html('h3', {}, `${model.letter}  ${model.name}`)] : []),
          table(rows),
          ...model.commands.flatMap(
              (each) => [html('p', {class: 'small'}, each.what), summary.command(each.command)]));
    });
    const place = document.getElementById('setup-models');
    place.replaceChildren(...parts);
    place.classList.toggle('two', isCompared);
  }
  sections.push({id: 'setup', draw});
})();
