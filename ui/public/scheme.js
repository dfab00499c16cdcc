// Sets the colour scheme before the first paint, so that a dark screen does
// not flash white. A file of its own because the page allows no inline script.
(function () {
  var s = null;
  try {
    s = localStorage.getItem("mantine-color-scheme-value");
  } catch (e) {
    /* storage refused: follow the system */
  }
  if (s !== "light" && s !== "dark")
    s = window.matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  document.documentElement.setAttribute("data-mantine-color-scheme", s);
})();
