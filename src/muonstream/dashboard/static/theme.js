// Before anything is drawn: the theme chosen last, else the one the system prefers.
(() => {
  const chosen = browserStorage.kept("muonstream.theme");
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.theme = chosen === "light" || chosen === "dark" ? chosen : dark ? "dark" : "light";
})();
