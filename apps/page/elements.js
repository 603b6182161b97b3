'use strict';
// Makes elements of a page, and texts of numbers. Whatever comes from a file is set as text.

const elements = (() => {
  /// Makes an element of SVG; numbers get two decimals.
  function svg(name, attributes = {}, ...children) {
    const element = document.createElementNS('http://www.w3.org/2000/svg', name);
    for (const [key, value] of Object.entries(attributes))
      element.setAttribute(
          key, typeof value === 'number' ? String(Math.round(value * 100) / 100) : value);
    element.append(...children);
    return element;
  }

  /// Makes an element of HTML.
  function html(name, attributes = {}, ...children) {
    const element = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.append(...children);
    return element;
  }

  /// Round numbers that divide an interval into at most `most` parts.
  function ticks(low, high, most) {
    const span = high - low;
    if (!(span > 0) || !Number.isFinite(span)) return [low];
    const power = 10 ** Math.floor(Math.log10(span / most));
    const step = [1, 2, 5, 10].map((m) => m * power).find((s) => span / s <= most);
    const found = [];
    for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; ++i)
      found.push(i * step);
    return found;
  }

  /// A number for people: so many digits that count, a real minus, no "e" where it can be helped.
  function show(x, digits = 3) {
    if (x === null || x === undefined || Number.isNaN(x)) return 'none';
    if (!Number.isFinite(x)) return x < 0 ? '−∞' : '∞';
    if (x === 0) return '0';
    const size = Math.abs(x);
    let text;
    if (size >= 1e6 || size < 1e-4) {
      const [mantissa, exponent] = x.toExponential(Math.max(0, digits - 1)).split('e');
      text = `${mantissa.replace(/\.?0+$/, '')} × 10${superscript(Number(exponent))}`;
    } else {
      text = Number.isInteger(x) ? String(x) : x.toPrecision(digits);
      if (text.includes('e')) text = String(Number(text));
      if (text.includes('.')) text = text.replace(/\.?0+$/, '');
    }
    return text.replace('-', '−');
  }
  const superscript = (n) =>
      String(n).replace(/[-0-9]/g, (c) => (c === '-' ? '⁻' : '⁰¹²³⁴⁵⁶⁷⁸⁹'[c]));

  return {svg, html, ticks, show};
})();
