'use strict';
// Light or dark: as the system has it, until the button is pressed.

const theme = (() => {
  const isDark = () => {
    const chosen = document.documentElement.dataset.theme;
    return chosen ? chosen === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
  };

  /// Makes the button work. `changed` is called after every change, the system's, too.
  function start(changed = () => {}) {
    document.getElementById('theme').addEventListener('click', () => {
      document.documentElement.dataset.theme = isDark() ? 'light' : 'dark';
      changed();
    });
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', changed);
  }

  return {isDark, start};
})();
