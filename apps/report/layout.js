'use strict';
// Where the nodes of a network go: layers from top to bottom (Sugiyama, Tagawa, Toda 1981), and
// long networks in several columns, as a newspaper has them, so that all of it fits a screen.

const layout = (() => {
  /// The row of every node: behind all that it reads.
  function ranksOf(nodes) {
    const rank = new Map();
    for (const node of nodes)
      rank.set(
          node.id, node.inputs.reduce((most, id) => Math.max(most, (rank.get(id) ?? -1) + 1), 0));
    return rank;
  }

  /// A node's place, or one without a node; `trail` are those that its long edges pass, by row.
  const placeAt = (id, rank) => ({id, rank, x: 0, up: [], down: [], trail: []});

  /// Places: a node, or where an edge that is longer than a row passes one: the
  /// edges of a node go together as far as they can. Returns places row by row, and the edges as
  /// lists of places.
  function placesOf(nodes) {
    const rank = ranksOf(nodes), byId = new Map(), rows = [], edges = [];
    const add = (place) => ((rows[place.rank] ||= []).push(place), place);
    const join = (a, b, weight) => (a.down.push([b, weight]), b.up.push([a, weight]));
    for (const node of nodes) {
      const here = add(placeAt(node.id, rank.get(node.id)));
      byId.set(node.id, here);
      for (const input of new Set(node.inputs)) {
        const from = byId.get(input);
        if (!from) continue;
        const points = [from];
        for (let r = from.rank + 1; r < here.rank; ++r) {
          const before = points.at(-1);
          if (!from.trail[r]) {  // what is long should be straight
            from.trail[r] = add(placeAt(null, r));
            join(before, from.trail[r], before === from ? 1 : 8);
          }
          points.push(from.trail[r]);
        }
        join(points.at(-1), here, points.length === 1 ? 3 : 1);
        points.push(here);
        edges.push({from: input, to: node.id, points});
      }
    }
    return {byId, rows, edges};
  }

  function crossings(upper, lower) {
    const at = new Map(lower.map((place, i) => [place, i]));
    const ends =
        upper.flatMap((place) => place.down.map(([other]) => at.get(other)).sort((a, b) => a - b));
    let count = 0;
    for (let i = 0; i < ends.length; ++i)
      for (let j = i + 1; j < ends.length; ++j) count += ends[i] > ends[j];
    return count;
  }
  const allCrossings = (rows) =>
      rows.slice(1).reduce((sum, row, i) => sum + crossings(rows[i], row), 0);

  /// Orders each row by where its neighbours are, to and fro, and keeps the order with the fewest
  /// crossings.
  function order(rows) {
    let best = rows.map((row) => [...row]), fewest = allCrossings(best);
    for (let round = 0; round < 8 && fewest > 0; ++round) {
      const side = round % 2 === 0 ? 'up' : 'down';
      const sweep =
          round % 2 === 0 ? rows.map((_, i) => i) : rows.map((_, i) => rows.length - 1 - i);
      for (const r of sweep) {
        const next = rows[r + (side === 'up' ? -1 : 1)];
        if (!next) continue;
        const at = new Map(next.map((place, i) => [place, i]));
        const mean = new Map(rows[r].map((place, i) => {
          const ends = place[side].map(([other]) => at.get(other));
          return [place, ends.length > 0 ? ends.reduce((a, b) => a + b, 0) / ends.length : i];
        }));
        rows[r].sort((a, b) => mean.get(a) - mean.get(b));
      }
      const count = allCrossings(rows);
      if (count < fewest) fewest = count, best = rows.map((row) => [...row]);
    }
    return best;
  }

  /// Where a place wants to be: under (or over) the neighbour that matters most.
  function wish(place, side) {
    const most = place[side].reduce((m, [, weight]) => Math.max(m, weight), 0);
    if (most === 0) return null;
    const ends = place[side].filter(([, weight]) => weight === most).map(([other]) => other.x);
    return {x: ends.reduce((a, b) => a + b, 0) / ends.length, weight: most};
  }

  /// Puts a row's places where they want to be, as near as distances allow: blocks of places that
  /// would overlap move together (least squares, pool adjacent violators).
  function settle(row, side, widthOf) {
    const blocks = [];
    let offset = 0;
    row.forEach((place, i) => {
      if (i > 0) offset += (widthOf(row[i - 1]) + widthOf(place)) / 2;
      const wanted = wish(place, side) || {x: place.x, weight: 0.1};
      place.offset = offset;
      // Edges that pass make way for layers.
      const weight = wanted.weight * (place.id === null ? 0.01 : 1);
      blocks.push({places: [place], weight, x: wanted.x - offset});
      while (blocks.length > 1 && blocks.at(-2).x > blocks.at(-1).x) {
        const last = blocks.pop(), before = blocks.at(-1), weight = before.weight + last.weight;
        before.x = (before.x * before.weight + last.x * last.weight) / weight;
        before.weight = weight;
        before.places.push(...last.places);
      }
    });
    for (const block of blocks)
      for (const place of block.places) place.x = block.x + place.offset;
  }

  /// Cuts the rows into `count` columns of about the same height (a share of it is
  /// `slack`), where few edges pass.
  function cuts(rows, count, slack) {
    const ends = [], each = rows.length / count, room = Math.floor(each * slack);
    for (let c = 1; c < count; ++c) {
      let best = Math.round(c * each), fewest = Infinity;
      for (let r = best - room; r <= Math.round(c * each) + room; ++r) {
        if (r <= (ends.at(-1) ?? 0) || r >= rows.length) continue;
        const passing = rows[r - 1].reduce((sum, place) => sum + place.down.length, 0);
        const cost = passing + (4 * Math.abs(r - c * each)) / each;
        if (cost < fewest) fewest = cost, best = r;
      }
      if (best > (ends.at(-1) ?? 0) && best < rows.length) ends.push(best);
    }
    return [...ends, rows.length];
  }

  /// A path through points, each [x, y], that turns smoothly from row to row.
  function smooth(points) {
    let path = `M${points[0][0]} ${points[0][1]}`;
    for (let i = 1; i < points.length; ++i) {
      const [x0, y0] = points[i - 1], [x1, y1] = points[i], middle = (y0 + y1) / 2;
      path += x0 === x1 ? `V${y1}` : `C${x0} ${middle} ${x1} ${middle} ${x1} ${y1}`;
    }
    return path;
  }

  /// Lays out nodes [{id, inputs: [ids]}], which come behind what they read. Sizes are in pixels;
  /// aspect is width over height of what they shall fit. Returns {width, height, nodes: Map of id
  /// to {x, y} (the middle), edges: [{from, to, path}]}.
  function layered(nodes, {nodeWidth, nodeHeight, gapX, gapY, aspect}) {
    const {byId, rows: unordered, edges} = placesOf(nodes);
    const rows = order(unordered);
    const widthOf = (place) => (place.id === null ? gapX * 1.2 : nodeWidth + gapX);
    for (const row of rows) settle(row, 'up', widthOf);
    for (let round = 0; round < 6; ++round) {
      for (const row of [...rows].reverse()) settle(row, 'down', widthOf);
      for (const row of rows) settle(row, 'up', widthOf);
    }
    const pitch = nodeHeight + gapY, gutter = 3 * gapX;
    const half = (place) => (place.id === null ? gapX / 2 : nodeWidth / 2);

    function columnsOf(count, slack) {
      const columns = [];
      let left = 0, first = 0;
      for (const end of cuts(rows, count, slack)) {
        const places = rows.slice(first, end).flat();
        const low = places.reduce((m, p) => Math.min(m, p.x - half(p)), Infinity);
        const high = places.reduce((m, p) => Math.max(m, p.x + half(p)), -Infinity);
        columns.push({first, end, left, shift: left - low, right: left + high - low});
        left += high - low + gutter;
        first = end;
      }
      return {
        columns,
        width: left - gutter,
        height: Math.max(...columns.map((c) => c.end - c.first)) * pitch
      };
    }
    // As many columns as make the nodes largest on the screen.
    let chosen = null, largest = 0;
    for (let count = 1; count <= Math.min(16, rows.length); ++count)
      for (const slack of [0.2, 0.08]) {
        const tried = columnsOf(count, slack);
        const scale = Math.min(aspect / tried.width, 1 / tried.height);
        if (scale > largest * 1.04) largest = scale, chosen = tried;
      }
    const {columns, width, height} = chosen;
    const columnOf = (place) => columns.findIndex((c) => place.rank < c.end);
    const at = (place) => {
      const column = columns[columnOf(place)];
      return {x: place.x + column.shift, y: (place.rank - column.first + 0.5) * pitch};
    };

    function pathOf({points}) {
      const parts = [];
      let run = [];
      const end = () => run.length > 1 && parts.push(smooth(run));
      points.forEach((place, i) => {
        const {x, y} = at(place), isNode = place.id !== null, column = columnOf(place);
        const before = i > 0 ? columnOf(points[i - 1]) : column;
        if (before !== column) {  // down and round into the next column
          const [x0, y0] = run.at(-1),
                     bottom = (columns[before].end - columns[before].first) * pitch + gapY / 4;
          const middle = columns[before].right + gutter / 2, top = -gapY / 4, r = gapY / 3;
          run.push([x0, Math.max(y0, bottom - r)]);
          end();
          parts.push(
              `M${x0} ${bottom - r}Q${x0} ${bottom} ${x0 + r} ${bottom}H${middle - r}Q${middle} ${
                  bottom} ${middle} ${bottom - r}` +
              `V${top + r}Q${middle} ${top} ${middle + r} ${top}H${x - r}Q${x} ${top} ${x} ${
                  top + r}`);
          run = [[x, top + r]];
        }
        if (isNode && i > 0)
          run.push([x, y - nodeHeight / 2]);
        else if (isNode)
          run.push([x, y + nodeHeight / 2]);
        else
          run.push([x, y - nodeHeight / 2], [x, y + nodeHeight / 2]);
      });
      end();
      return parts.join('');
    }
    return {
      width,
      height,
      nodes: new Map([...byId].map(([id, place]) => [id, at(place)])),
      edges: edges.map((edge) => ({from: edge.from, to: edge.to, path: pathOf(edge)})),
    };
  }

  return {layered};
})();
