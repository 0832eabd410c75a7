// Runs before the page is painted, so that a chosen theme doesn't flash in.
try {
  const theme = localStorage.getItem('ezlive-theme');
  if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme;
} catch {
  // No storage (a private window): the system's theme it is.
}
