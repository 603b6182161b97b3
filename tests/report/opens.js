'use strict';
// Runs at the end of a long report: says how long it took to get there, and to draw all of it.

document.body.getBoundingClientRect();  // it is laid out
const opened = performance.now();
report.drawAll();
document.body.getBoundingClientRect();
const drawn = performance.now();
checks.run(async () => {
  checks.check(`it opens in ${Math.round(opened)} ms, 2000 are allowed`, opened < 2000);
  checks.check('it has 200 layers', data.models[0].rows.length === 200);
}, () => `; opened in ${Math.round(opened)} ms, all drawn after ${Math.round(drawn)} ms`);
