'use strict';
// Light or dark: as the system has it, until the button is pressed; light on paper.

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
    let onScreen = '';
    window.addEventListener('beforeprint', () => {
      onScreen = document.documentElement.dataset.theme;
      document.documentElement.dataset.theme = 'light';
      changed();
    });
    window.addEventListener('afterprint', () => {
      if (onScreen)
        document.documentElement.dataset.theme = onScreen;
      else
        delete document.documentElement.dataset.theme;
      changed();
    });
  }

  return {isDark, start};
})();
