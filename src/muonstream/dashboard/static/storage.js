// What this browser keeps for the page. In another site's frame, or where a person has switched storage off, there is
// none. A script and no module, as the theme is needed before anything is drawn and modules run after that: all others
// find it as browserStorage.

globalThis.browserStorage = {
  /** What is kept under a name, null without. */
  kept(name) {
    try {
      return localStorage.getItem(name);
    } catch {
      return null;
    }
  },

  /** Keep a text, or forget it (null); gives whether that was done: where nothing can be kept the page goes without. */
  keep(name, text) {
    try {
      if (text === null) localStorage.removeItem(name);
      else localStorage.setItem(name, text);
      return true;
    } catch (error) {
      console.warn(`${name} is not kept: ${error.message}`);
      return false;
    }
  },
};
