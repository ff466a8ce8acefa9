// On paper: each plot as a picture as wide as its place there, since a canvas does not follow.

/** Have the plots that shown() gives printed whole. */
export function onPaper(shown) {
  addEventListener("beforeprint", () => {
    for (const { view, canvas } of shown()) {
      const picture = view.roots[0].export("png").canvas;
      picture.className = "on-paper";
      picture.removeAttribute("style");
      canvas.after(picture);
    }
  });
  addEventListener("afterprint", () => {
    for (const picture of document.querySelectorAll(".on-paper")) picture.remove();
  });
}
