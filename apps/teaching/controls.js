'use strict';
// The controls: what they say goes into the state, and panels are drawn anew.

const controls = (() => {
  const byId = (id) => document.getElementById(id);
  const {now, sample} = state;
  let waiting = false, derived = null;

  const old = new Set();  // panels that show what was before

  /// Draws once before the next picture, however many changes came; panels out of sight later.
  function redraw() {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      update();
      drawSeen();
    });
  }

  function update() {
    derived = state.derive();
    show();
    for (const panel of panels) old.add(panel);
  }

  function draw(isWanted) {
    for (const panel of [...old])
      if (!byId(panel.id).hidden && isWanted(byId(panel.id))) {
        panel.draw(derived);
        old.delete(panel);
      }
  }

  function drawSeen() {
    draw((section) => {
      const {top, bottom} = section.getBoundingClientRect();
      return bottom > -200 && top < window.innerHeight + 200;
    });
  }

  function drawAll() {
    update();
    draw(() => true);
  }

  /// Makes the controls say what is in use.
  function show() {
    const {range, ends, view, symmetry} = derived;
    const text = (id, value) => (byId(id).textContent = value);
    text('bits-value', now.bits);
    text('percent-value', `${now.percent} %`);
    byId('percent-row').hidden = now.estimator !== 'percentile';
    const wide = Math.max(Math.abs(view[0]), Math.abs(view[1]));
    if (now.estimator !== 'by_hand') {
      now.min = range.min, now.max = range.max;
      const most = Math.max(wide, Math.abs(range.min), Math.abs(range.max)) * 1.1;
      for (const [id, low, high] of [['min', -most, 0], ['max', 0, most]]) {
        byId(id).min = low, byId(id).max = high, byId(id).step = most / 1000;
      }
    }
    byId('min').value = now.min, byId('max').value = now.max;
    text('min-value', drawing.show(ends.min)), text('max-value', drawing.show(ends.max));
    byId('estimator').value = now.estimator;
    byId('tensor').value = now.tensor;
    text(
        'note',
        symmetry !== now.symmetry ?
            'There are negative numbers, so that unsigned codes become symmetric ones.' :
            '');
  }

  function choices(select, entries, value) {
    select.replaceChildren(
        ...entries.map(([key, text]) => drawing.html('option', {value: key}, text)));
    select.value = value;
  }

  /// Puts the probe where rounding shows: between two codes, a third of the way to the end.
  function placeProbe() {
    const {encoding, ends} = state.derive();
    const step = quant.rint(Math.max(ends.max, -ends.min) * 0.45 / encoding.scale);
    now.probe = (step + 0.3) * encoding.scale * (ends.max >= -ends.min ? 1 : -1);
  }

  function bind() {
    choices(
        byId('layer'), sample.layers.map((layer, i) => [String(i), layer.name]), String(now.layer));
    const on = (id, change) => byId(id).addEventListener('input', (event) => {
      change(event.target.value);
      redraw();
    });
    on('layer', (value) => (now.layer = Number(value), placeProbe()));
    on('tensor', (value) => (now.tensor = value, placeProbe()));
    on('bits', (value) => (now.bits = Number(value)));
    on('symmetry', (value) => (now.symmetry = value));
    on('estimator', (value) => (now.estimator = value));
    on('percent', (value) => (now.percent = Number(value)));
    on('rounding-mode', (value) => (now.rounding = value));
    on('min', (value) => (now.estimator = 'by_hand', now.min = Number(value)));
    on('max', (value) => (now.estimator = 'by_hand', now.max = Number(value)));
    on('probe', (value) => (now.probe = Number(value)));
    on('learn', () => {});
    on('seed', () => {});
  }

  // ---- one panel at a time

  const sections = () => [...document.querySelectorAll('main > section')];
  let current = 0;
  const isSingle = () => document.body.classList.contains('single');

  function show1(index) {
    const list = sections();
    current = Math.min(list.length - 1, Math.max(0, index));
    list.forEach((section, i) => (section.hidden = isSingle() && i !== current));
    byId('place').textContent = isSingle() ? `${current + 1} / ${list.length}` : '';
    redraw();
  }

  function bindPresenting() {
    byId('single').addEventListener('click', () => {
      const on = document.body.classList.toggle('single');
      byId('single').setAttribute('aria-pressed', String(on));
      byId('single').textContent = on ? 'All panels' : 'One at a time';
      for (const id of ['previous', 'next']) byId(id).hidden = !on;
      show1(on ? nearest() : current);
      if (!on)
        sections()[current].scrollIntoView();
      else
        window.scrollTo(0, 0);
    });
    byId('previous').addEventListener('click', () => show1(current - 1));
    byId('next').addEventListener('click', () => show1(current + 1));
    document.addEventListener('keydown', (event) => {
      if (!isSingle() || event.altKey || event.ctrlKey || event.metaKey) return;
      // Sliders, lists and texts need the arrows themselves.
      const typing = ['INPUT', 'SELECT', 'TEXTAREA'].includes(event.target.tagName);
      if (event.key === 'PageDown' || (event.key === 'ArrowRight' && !typing))
        show1(current + 1);
      else if (event.key === 'PageUp' || (event.key === 'ArrowLeft' && !typing))
        show1(current - 1);
      else
        return;
      event.preventDefault();
    });
    for (const link of document.querySelectorAll('nav a'))
      link.addEventListener('click', () => {
        if (isSingle())
          show1(sections().findIndex((s) => `#${s.id}` === link.getAttribute('href')));
      });
  }

  /// The panel that is in the upper half of the window.
  function nearest() {
    const index =
        sections().findIndex((s) => s.getBoundingClientRect().bottom > window.innerHeight / 2);
    return Math.max(0, index);
  }

  function start() {
    byId('model').textContent = sample.model;
    byId('dataset').textContent = sample.dataset;
    placeProbe();
    bind();
    theme.start();
    bindPresenting();
    learning.start();
    drawAll();
    window.addEventListener('scroll', drawSeen, {passive: true});
    window.addEventListener('beforeprint', () => draw(() => true));
    let width = window.innerWidth;
    window.addEventListener('resize', () => {
      if (window.innerWidth !== width) redraw();
      width = window.innerWidth;
    });
  }

  return {redraw, drawAll, start};
})();

controls.start();
