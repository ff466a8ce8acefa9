// Set before the page is drawn, so that it does not flash.
try {
  const kept = localStorage.getItem("muonstream-theme");
  if (kept) document.documentElement.dataset.theme = kept;
} catch { /* no storage: the system's choice holds */ }
