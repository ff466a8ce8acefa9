// The button that copies this page's address.

import { setText } from "./format.js";

/** Have a button copy the address that the page has when it is pressed. */
export function offerLink(button) {
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(location.href);
      setText(button, "Copied");
    } catch {
      setText(button, "Copy it from the address bar");
    }
    setTimeout(() => setText(button, "Link"), 2000);
  });
}
