// Before the first paint: the theme that the reader chose last time, if one was chosen.
try {
  const theme = localStorage.getItem('tinderbox.theme');
  if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme;
} catch {
  // Storage is closed to this page: the system's theme holds.
}
