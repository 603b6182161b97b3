'use strict';
// The network as a graph: a box for each layer, colored by how good it is. Zoom, search, click.

const network = (() => {
  const {svg, html} = elements;
  const {models, db} = data;
  const byId = (id) => document.getElementById(id);
  const BOX = {nodeWidth: 176, nodeHeight: 44, gapX: 18, gapY: 26};
  const COLORS = {
    alone: {title: 'SQNR of the network with it alone quantized', of: (row) => row.aloneSqnr},
    output: {title: 'SQNR of its output in the quantized network', of: (row) => row.output},
    own: {title: 'SQNR of its output with float inputs', of: (row) => row.own},
  };
  let model = models[0], view = null, plan = null, boxes = new Map(), wide = null;

  const place = byId('network-graph');

  /// A box with two lines: the name, and what it is.
  function boxOf(row, {x, y}) {
    const value = COLORS[byId('network-color').value].of(row), grade = data.grade(value);
    const known = Number.isNaN(value) ? '' : `${db(value)} dB`;
    const what = [charts.short(row.type, 14), row.bits.text, known].filter(Boolean).join('  ');
    const node = svg('g', {
      class: `node ${grade >= 0 ? `q${grade}` : 'plain'}`,
      transform: `translate(${x - BOX.nodeWidth / 2} ${y - BOX.nodeHeight / 2})`,
      role: 'button',
      tabindex: -1,
      'aria-label': `${row.name}, ${what}`
    });
    node.append(
        svg('rect', {width: BOX.nodeWidth, height: BOX.nodeHeight, rx: 7}),
        svg('text', {x: BOX.nodeWidth / 2, y: 18, 'text-anchor': 'middle', class: 'name'},
            charts.short(row.name, 23)),
        svg('text', {x: BOX.nodeWidth / 2, y: 35, 'text-anchor': 'middle', class: 'what'}, what));
    const title =
        svg('title', {},
            `${row.name}\n${what}${row.shape.length > 0 ? `\n${row.shape.join(' × ')}` : ''}`);
    node.append(title);
    return node;
  }

  function nodesOf() {
    const known = new Set();
    const nodes = [];
    for (const row of model.rows) {
      // What a layer reads and no row is: the network's inputs without quantizers.
      for (const name of row.inputs)
        if (!known.has(name) && !model.byName.has(name))
          known.add(name), nodes.push({id: name, inputs: []});
      known.add(row.name);
      nodes.push({id: row.name, inputs: row.inputs});
    }
    return nodes;
  }

  function size() {
    return {width: Math.max(300, place.clientWidth), height: Math.max(300, place.clientHeight)};
  }

  function draw() {
    const {width, height} = size();
    plan = layout.layered(nodesOf(), {...BOX, aspect: width / height});
    const edges = svg('g', {class: 'edges'}), nodes = svg('g');
    for (const edge of plan.edges)
      edges.append(svg('path', {d: edge.path, 'marker-end': 'url(#arrow)'}));
    boxes = new Map();
    for (const [name, at] of plan.nodes) {
      const row = model.byName.get(name) ||
          {name, type: 'input', bits: {text: ''}, shape: [], output: NaN, own: NaN, aloneSqnr: NaN};
      const box = boxOf(row, at);
      boxes.set(name, box);
      nodes.append(box);
      box.addEventListener('click', () => (focusOn(name, false), details.open(model, name)));
    }
    const marker =
        svg('marker', {
          id: 'arrow',
          viewBox: '0 0 8 8',
          refX: 7,
          refY: 4,
          markerWidth: 6,
          markerHeight: 6,
          orient: 'auto'
        },
            svg('path', {d: 'M0 0L8 4L0 8Z', class: 'head'}));
    const root =
        svg('svg', {role: 'group', 'aria-label': `The network: ${plan.nodes.size} layers`},
            svg('defs', {}, marker), edges, nodes);
    place.replaceChildren(root);
    boxes.values().next().value?.setAttribute('tabindex', '0');
    fit();
    mark();
  }

  // ---- what is seen

  function apply() {
    place.firstChild.setAttribute('viewBox', `${view.x} ${view.y} ${view.width} ${view.height}`);
  }
  function fit() {
    const {width, height} = size(), room = 34;
    const scale = Math.min(width / (plan.width + 2 * room), height / (plan.height + 2 * room), 1.4);
    wide = {width: width / scale, height: height / scale};
    view = {x: plan.width / 2 - wide.width / 2, y: plan.height / 2 - wide.height / 2, ...wide};
    apply();
  }
  /// Zooms around a point of the picture, or its middle.
  function zoom(factor, at = {x: view.x + view.width / 2, y: view.y + view.height / 2}) {
    const least = size().width / 4, most = wide.width * 1.5;
    const width = Math.min(Math.max(view.width * factor, Math.min(least, most)), most),
          by = width / view.width;
    view = {
      x: at.x - (at.x - view.x) * by,
      y: at.y - (at.y - view.y) * by,
      width,
      height: view.height * by
    };
    apply();
  }
  const pointOf = (event) => {
    const box = place.getBoundingClientRect();
    return {
      x: view.x + ((event.clientX - box.left) / box.width) * view.width,
      y: view.y + ((event.clientY - box.top) / box.height) * view.height
    };
  };
  /// Shows a node in the middle, so large that it can be read.
  function center(name) {
    const at = plan.nodes.get(name), {width, height} = size(), k = Math.min(1, view.width / width);
    view = {
      width: width * k,
      height: height * k,
      x: at.x - (width * k) / 2,
      y: at.y - (height * k) / 2
    };
    apply();
  }

  // ---- search and keys

  function mark() {
    const words = byId('network-search').value.trim().toLowerCase();
    const found = [];
    for (const [name, box] of boxes) {
      const row = model.byName.get(name);
      const is = words !== '' && `${name} ${row ? row.type : ''}`.toLowerCase().includes(words);
      box.classList.toggle('found', is);
      if (is) found.push(name);
    }
    place.classList.toggle('searching', words !== '');
    byId('network-found').textContent =
        words === '' ? `${boxes.size} layers` : `${found.length} found`;
    return found;
  }
  let next = 0;
  function goToNext() {
    const found = mark();
    if (found.length > 0) center(found[next++ % found.length]);
  }

  function focusOn(name, moves = true) {
    for (const box of boxes.values()) box.setAttribute('tabindex', '-1');
    const box = boxes.get(name);
    box.setAttribute('tabindex', '0');
    box.focus({preventScroll: true});
    const at = plan.nodes.get(name);
    const isSeen =
        at.x > view.x && at.x < view.x + view.width && at.y > view.y && at.y < view.y + view.height;
    if (moves && !isSeen) center(name);
  }
  const nameOf = (element) => [...boxes].find(([, box]) => box === element)?.[0];

  function key(event) {
    const name = nameOf(document.activeElement), row = name && model.byName.get(name);
    const keys = {
      '+': () => zoom(0.8),
      '=': () => zoom(0.8),
      '-': () => zoom(1.25),
      0: fit,
      ArrowDown: () => name && move(model.rows.find((each) => each.inputs.includes(name))?.name),
      ArrowUp: () => row && move(row.inputs[0]),
      ArrowRight: () => name && move(neighbour(name, 1)),
      ArrowLeft: () => name && move(neighbour(name, -1)),
      Enter: () => name && details.open(model, name),
      ' ': () => name && details.open(model, name),
    };
    if (!keys[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
    keys[event.key]();
    event.preventDefault();
  }
  const move = (name) => name && boxes.has(name) && focusOn(name);
  function neighbour(name, by) {
    const names = [...boxes.keys()];
    return names[names.indexOf(name) + by];
  }

  /// Takes the reader to a layer.
  function find(which, name) {
    byId('network').scrollIntoView();
    if (which !== model || !plan) {
      model = which;
      byId('network-model').value = String(models.indexOf(which));
      draw();
    }
    center(name);
    focusOn(name, false);
  }

  function bind() {
    byId('network-model')
        .replaceChildren(
            ...models.map((m, i) => html('option', {value: String(i)}, `${m.letter}  ${m.name}`)));
    byId('network-model').closest('label').hidden = models.length < 2;
    byId('network-model')
        .addEventListener('input', (event) => (model = models[Number(event.target.value)], draw()));
    byId('network-color')
        .replaceChildren(
            ...Object.entries(COLORS).map(([value, {title}]) => html('option', {value}, title)));
    byId('network-color').addEventListener('input', draw);
    byId('network-search').addEventListener('input', () => (next = 0, mark()));
    byId('network-search')
        .addEventListener(
            'keydown', (event) => event.key === 'Enter' && (event.preventDefault(), goToNext()));
    byId('network-in').addEventListener('click', () => zoom(0.7));
    byId('network-out').addEventListener('click', () => zoom(1 / 0.7));
    byId('network-fit').addEventListener('click', fit);
    place.addEventListener('keydown', key);
    // The wheel scrolls the page; with Ctrl (and with two fingers) it zooms.
    place.addEventListener('wheel', (event) => {
      if (!event.ctrlKey) return;
      event.preventDefault();
      zoom(Math.exp(event.deltaY / 200), pointOf(event));
    }, {passive: false});
    let held = null;
    place.addEventListener(
        'pointerdown',
        (event) => (held = {x: event.clientX, y: event.clientY, view, isDragged: false}));
    place.addEventListener('pointermove', (event) => {
      if (!held || !(event.buttons & 1)) return (held = null);
      const k = view.width / place.clientWidth, dx = event.clientX - held.x,
            dy = event.clientY - held.y;
      if (!held.isDragged && Math.hypot(dx, dy) < 5) return;
      if (!held.isDragged) place.setPointerCapture(event.pointerId);
      held.isDragged = true;
      view = {...held.view, x: held.view.x - dx * k, y: held.view.y - dy * k};
      apply();
    });
    place.addEventListener('pointerup', () => (held = null));
  }

  bind();
  byId('network-legend')
      .replaceChildren(...data.STEPS.concat(Infinity).map(
          (step, i) => html(
              'span', {class: 'key'}, html('i', {class: `swatch q${i} graded`}),
              i === 0 ? `below ${step} dB` :
                  step === Infinity ? `${data.STEPS.at(-1)} dB and more` :
                                      `${data.STEPS[i - 1]}–${step}`)));
  sections.push({id: 'network', draw});
  return {find};
})();
