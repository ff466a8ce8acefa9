// On paper: each plot drawn again, light and as wide as its place there, since neither canvas nor letters follow.

import { drawnAgain } from "./files.js";
import { drawing } from "./plots.js";

const DENSITY = 2.5; // dots of a picture for each pixel of CSS, of which an inch of paper has 96
const WIDE_PX = 688; // A4 less margins, borders and padding, as print.css has them
const HALF_PX = 332;

/** Have the plots that shown() gives printed whole; colors(): what each colour of the theme is on paper. */
export function onPaper(shown, colors) {
  let recoloured = [];
  addEventListener("beforeprint", () => {
    const light = colors();
    for (const one of shown()) {
      if (!one.canvas.parentElement.clientWidth) continue; // without reconstruction some are not shown
      // what is on the screen, for a browser that prints before the better one is there
      const picture = onPage(one.view.roots[0].export("png").canvas);
      picture.classList.add("as-shown");
      one.canvas.after(picture);
      const width = one.canvas.closest(".plot.wide") ? WIDE_PX : HALF_PX;
      drawnAgain(one, inColors(one.plot, light), width * DENSITY, { text: DENSITY, height: DENSITY }, drawing)
        .then((better) => picture.isConnected && picture.replaceWith(onPage(better)))
        .catch(console.error);
    }
    recoloured = [...document.querySelectorAll("[style*='--color']")].map((each) => [each, each.style.getPropertyValue("--color")]);
    for (const [each, color] of recoloured) each.style.setProperty("--color", light[color] ?? color);
  });
  addEventListener("afterprint", () => {
    for (const picture of document.querySelectorAll(".on-paper")) picture.remove();
    for (const [each, color] of recoloured) each.style.setProperty("--color", color);
    recoloured = [];
  });
}

/** A picture that has its place on paper alone. */
function onPage(picture) {
  picture.className = "on-paper";
  picture.removeAttribute("style");
  return picture;
}

/** A plot's description in other colours. */
function inColors(plot, colors) {
  return JSON.parse(JSON.stringify(plot).replace(/#[\dA-Fa-f]{6}/g, (color) => colors[color] ?? color));
}
