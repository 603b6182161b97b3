'use strict';
// Runs inside a page that is tested: counts checks, and leaves a page of lines that say what
// failed.

const checks = (() => {
  const failures = [];
  let count = 0;

  function check(name, holds) {
    ++count;
    if (!holds) failures.push(name);
  }

  /// Runs the checks. In the end the page consists of lines: counts, with what `summary()` says
  /// behind them, and what failed.
  async function run(body, summary = () => '') {
    try {
      await body();
    } catch (error) {
      check(String(error.stack || error), false);
    }
    for (const problem of problems) failures.push(`the page reported: ${problem}`);
    const result = document.createElement('pre');
    result.textContent =
        [`${count} checks, ${failures.length} failed${summary()}`, ...failures].join('\n');
    document.head.replaceChildren();
    document.body.replaceChildren(result);
    document.title = 'done';
  }

  return {check, run};
})();
