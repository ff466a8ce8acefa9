// Before anything is drawn: the theme chosen last, else the one the system prefers.
(() => {
  let chosen = null;
  try {
    chosen = localStorage.getItem("muonstream.theme");
  } catch {
    // no storage: the system's preference it is
  }
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.theme = chosen === "light" || chosen === "dark" ? chosen : dark ? "dark" : "light";
})();
