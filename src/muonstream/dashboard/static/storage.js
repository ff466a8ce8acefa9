// What this browser keeps for the page. In another site's frame, or where a person has switched storage off, there is none.

/** What is kept under a name, null without. */
export function kept(name) {
  try {
    return localStorage.getItem(name);
  } catch {
    return null;
  }
}

/** Keep a text, or forget it (null); where nothing can be kept the page goes without. */
export function keep(name, text) {
  try {
    if (text === null) localStorage.removeItem(name);
    else localStorage.setItem(name, text);
  } catch (error) {
    console.warn(`${name} is not kept: ${error.message}`);
  }
}
