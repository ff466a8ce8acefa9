// Keys: what each does, wherever the last click was; and the list of them.

import { element } from "./format.js";

const WRITING = "input, textarea, select, [contenteditable]";
const OWN = { " ": "button, summary", Enter: "button, a, summary" }; // what these keys press
const SHOWN = { " ": "space", ArrowLeft: "←", ArrowRight: "→", Escape: "Esc" };

/**
 * Listen to keys. bindings: [{ keys, text, run(key), when() }]; the first one that has the key and whose when() says so
 * is run. texts: [[keys, text]] of others that the list shows. Gives show(), which opens the list.
 */
export function listen(dialog, bindings, texts) {
  const show = () => {
    if (!dialog.open) dialog.showModal();
  };
  const list = dialog.querySelector("dl");
  const lines = [...bindings.map(({ keys, text, shown }) => [shown ?? keys, text]), ...texts];
  for (const [keys, text] of lines) {
    const term = element("dt");
    term.append(...keys.flatMap((key) => [element("kbd", "", SHOWN[key] ?? key), " "]));
    list.append(term, element("dd", "", text));
  }
  addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || dialog.open) return;
    const target = event.composedPath()[0];
    const pressed = target.closest?.(OWN[event.key] ?? ":not(*)");
    if (target.closest?.(WRITING) || pressed) return;
    const binding = bindings.find(({ keys, when }) => keys.includes(event.key) && (when?.() ?? true));
    if (!binding) return;
    event.preventDefault();
    binding.run(event.key);
  });
  // a button that was clicked would take the next space for itself
  addEventListener("click", ({ detail, target }) => {
    const pressed = target.closest?.("button, a, [role=tab]");
    if (detail > 0 && pressed && pressed === document.activeElement) pressed.blur();
  });
  return show;
}
