'use strict';
// Draws the sections: the first at once, others when they come into sight, all of them for paper.

const report = (() => {
  const {models, isCompared} = data;
  const byId = (id) => document.getElementById(id);
  const waiting = new Set(sections);

  function draw(section) {
    if (!waiting.delete(section)) return;
    section.draw();
  }
  function drawAll() {
    for (const section of [...waiting]) draw(section);
  }

  function start() {
    const titles = [...new Set(models.map((model) => model.title))];
    const title = titles.length === models.length ?
        titles.join(' and ') :
        `${titles[0]}: ${models.map((model) => model.name).join(' and ')}`;
    document.title = `${title}: quantization report`;
    byId('title').textContent = title;
    byId('subtitle')
        .replaceChildren(...models.map(
            (model) => elements.html(
                'span', {}, `${isCompared ? `${model.letter}  ` : ''}${model.subtitle}`)));
    theme.start(charts.redraw);
    const seen = new IntersectionObserver((entries) => {
      for (const entry of entries)
        if (entry.isIntersecting) {
          seen.unobserve(entry.target);
          draw(sections.find((section) => section.id === entry.target.id));
        }
    }, {rootMargin: '300px'});
    draw(sections[0]);
    for (const section of sections.slice(1)) seen.observe(byId(section.id));
    window.addEventListener('beforeprint', drawAll);
  }

  return {start, drawAll};
})();

report.start();
