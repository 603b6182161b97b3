'use strict';
// Charts as SVG. They are as wide as their place, so that letters keep their size; colors come from
// style.css by class, so that light, dark and paper need no drawing.

const drawing = (() => {
  const MARGIN = {left: 78, right: 22, top: 16, bottom: 54};  // for letters of 18 pixels

  /// How large letters are: charts grow with them.
  const size = () => parseFloat(getComputedStyle(document.documentElement).fontSize) / 18;

  /// One panel at a time shall fit the screen.
  const tallness = (wanted) => document.body.classList.contains('single') ?
      Math.min(wanted, window.innerHeight * 0.4) :
      wanted;

  const {svg, html, ticks, show} = elements;

  /// A chart in `place`, which it empties: {x: [low, high], y: [low, high], height, xLabel, yLabel,
  /// say: what it shows, for those who cannot see it}. Its functions draw in the data's units.
  function chart(
      place,
      {x, y, height = 340, xLabel = '', yLabel = '', say = '', yTicks = null, xTicks = null}) {
    const k = size(), width = Math.max(300, Math.round(place.clientWidth || 900));
    const narrow = width < 560;
    const left = narrow ? 60 : MARGIN.left * k, top = MARGIN.top * k;
    const right = width - MARGIN.right * k, tall = tallness(height * k),
          bottom = tall - MARGIN.bottom * k;
    const X = (v) => left + ((v - x[0]) / (x[1] - x[0])) * (right - left);
    const Y = (v) => bottom - ((v - y[0]) / (y[1] - y[0])) * (bottom - top);
    const root =
        svg('svg', {viewBox: `0 0 ${width} ${Math.round(tall)}`, role: 'img', 'aria-label': say});
    const axes = svg('g', {class: 'axes', 'aria-hidden': 'true'});
    for (const at of xTicks || ticks(x[0], x[1], narrow ? 4 : 8)) {
      axes.append(svg('line', {x1: X(at), x2: X(at), y1: top, y2: bottom, class: 'grid'}));
      axes.append(svg('text', {x: X(at), y: bottom + 22 * k, 'text-anchor': 'middle'}, show(at)));
    }
    for (const at of yTicks ||
         ticks(y[0], y[1], Math.max(2, Math.round((bottom - top) / (55 * k))))) {
      axes.append(svg('line', {x1: left, x2: right, y1: Y(at), y2: Y(at), class: 'grid'}));
      axes.append(
          svg('text', {x: left - 10 * k, y: Y(at) + 6 * k, 'text-anchor': 'end'}, show(at)));
    }
    axes.append(svg(
        'text', {x: (left + right) / 2, y: tall - 6 * k, 'text-anchor': 'middle', class: 'label'},
        xLabel));
    const middle = (top + bottom) / 2;
    axes.append(
        svg('text', {
          x: 0,
          y: 0,
          'text-anchor': 'middle',
          class: 'label',
          transform: `translate(${16 * k} ${middle}) rotate(-90)`
        },
            yLabel));
    const clip = `clip${++chart.count}`;
    root.append(
        svg('clipPath', {id: clip},
            svg('rect', {x: left, y: top - 4, width: right - left, height: bottom - top + 8})));
    const data = svg('g', {'clip-path': `url(#${clip})`});
    const labels = svg('g');
    root.append(axes, data, labels);
    place.replaceChildren(root);

    const add = (element) => (data.append(element), element);
    return {
      root,
      X,
      Y,
      left,
      right,
      bottom,
      top,
      width,
      narrow,
      /// A line through points [[x, y], ...]; a y that is no number breaks it.
      line(points, kind) {
        let path = '', open = false;
        for (const [px, py] of points) {
          const here = Number.isFinite(py);
          if (here)
            path += `${open ? 'L' : 'M'}${X(px).toFixed(2)} ${Y(clampTo(py, y)).toFixed(2)}`;
          open = here;
        }
        return add(svg('path', {d: path, class: `line ${kind}`}));
      },
      /// The area between two lines: [[x, lower, upper], ...].
      band(points, kind) {
        const at = (px, py) => `${X(px).toFixed(2)} ${Y(clampTo(py, y)).toFixed(2)}`;
        const upper = points.map(([px, , high]) => at(px, high));
        const lower = points.map(([px, low]) => at(px, low)).reverse();
        return add(svg('path', {d: `M${[...upper, ...lower].join('L')}Z`, class: `area ${kind}`}));
      },
      /// A box between two corners.
      box(x1, y1, x2, y2, kind) {
        return add(svg('rect', {
          class: `box ${kind}`,
          x: Math.min(X(x1), X(x2)),
          y: Math.min(Y(y1), Y(y2)),
          width: Math.abs(X(x2) - X(x1)),
          height: Math.abs(Y(y2) - Y(y1))
        }));
      },
      /// A line from top to bottom, with a word at its upper end.
      upright(at, kind, word = '', row = 0) {
        add(svg('line', {x1: X(at), x2: X(at), y1: top, y2: bottom, class: `line ${kind}`}));
        if (word && at >= x[0] && at <= x[1]) {
          const atRight = X(at) > right - 120 * k;
          labels.append(
              svg('text', {
                x: X(at) + (atRight ? -8 : 8),
                y: top + (16 + 22 * row) * k,
                'text-anchor': atRight ? 'end' : 'start',
                class: `mark ${kind}`
              },
                  word));
        }
      },
      level(at, kind) {
        return add(svg('line', {x1: left, x2: right, y1: Y(at), y2: Y(at), class: `line ${kind}`}));
      },
      dot(px, py, kind, radius = 7) {
        return add(
            svg('circle', {cx: X(px), cy: Y(clampTo(py, y)), r: radius * k, class: `dot ${kind}`}));
      },
      word(px, py, text, kind = '', anchor = 'middle') {
        labels.append(
            svg('text', {x: X(px), y: Y(py), 'text-anchor': anchor, class: `mark ${kind}`}, text));
      },
    };
  }
  chart.count = 0;
  const clampTo = (v, [low, high]) => {
    const room = (high - low) * 3;
    return Math.min(high + room, Math.max(low - room, v));
  };

  /// The words below a chart: [[kind, text], ...], each with a sample of its color.
  function legend(place, entries) {
    place.replaceChildren(...entries.map(
        ([kind, text]) =>
            html('span', {class: 'key'}, html('i', {class: `swatch ${kind}`}), text)));
  }

  /// Large figures: [[value, unit, what it is, kind], ...].
  function figures(place, entries) {
    place.replaceChildren(...entries.map(
        ([value, unit, what, kind = '']) => html(
            'div', {class: `figure ${kind}`},
            html('b', {}, value, unit ? html('small', {}, ` ${unit}`) : ''),
            html('span', {}, what))));
  }

  return {html, ticks, show, chart, legend, figures};
})();
