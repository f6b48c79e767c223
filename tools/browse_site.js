// Run in every page by browse_site.py: a promise of a list of what looks wrong.
(async () => {
  const found = [];
  await document.fonts.ready;
  if (window.MathJax && MathJax.startup) await MathJax.startup.promise;

  const name = (element) => {
    const classes = [...element.classList].slice(0, 2).map((one) => "." + one).join("");
    const text = element.textContent.trim().replace(/\s+/g, " ").slice(0, 40);
    return `<${element.tagName.toLowerCase()}${classes}> "${text}"`;
  };
  const shown = (element) => {
    const box = element.getBoundingClientRect();
    return box.width > 1 && box.height > 1 && getComputedStyle(element).visibility !== "hidden";
  };

  for (const formula of document.querySelectorAll(".math")) {
    if (!formula.querySelector("mjx-container")) found.push(`formula as text: ${name(formula)}`);
    if (formula.querySelector("[data-mml-node=merror], mjx-merror"))
      found.push(`error in a formula: ${name(formula)}`);
  }
  for (const image of document.images)
    if (!image.complete || !image.naturalWidth) found.push(`no image: ${image.src}`);

  const page = document.documentElement;
  if (page.scrollWidth > window.innerWidth)
    found.push(`the page is ${page.scrollWidth} px wide`);

  // What overflows its column is read by scrolling in a box of its own, or not at all.
  const column = document.querySelector("article.bd-article");
  if (column) {
    const right = column.getBoundingClientRect().right + 1;
    const boxed = (element) => {
      for (let one = element.parentElement; one && one !== column; one = one.parentElement)
        if (["auto", "scroll", "hidden"].includes(getComputedStyle(one).overflowX)) return true;
      return false;
    };
    let last = null;
    for (const element of column.querySelectorAll("*")) {
      if (last && last.contains(element)) continue;
      if (element.closest("mjx-assistive-mml, svg, .visually-hidden, .sr-only")) continue;
      if (!shown(element) || element.getBoundingClientRect().right <= right) continue;
      if (boxed(element)) continue;
      last = element;
      found.push(`wider than its column: ${name(element)}`);
    }
  }

  // On a wide window, all of code and tables can be read without scrolling.
  if (window.innerWidth >= 1200)
    for (const box of document.querySelectorAll(
      ".bd-article pre, .bd-article .pst-scrollable-table-container, .bd-article .output_html"))
      if (shown(box) && box.scrollWidth > box.clientWidth)
        found.push(`${box.scrollWidth - box.clientWidth} px are out of sight: ${name(box)}`);

  const titles = "h1, h2, h3, h4, .navbar-brand *, nav a, nav p, .sd-card-title";
  for (const title of document.querySelectorAll(titles)) {
    if (!shown(title)) continue;
    const inline = getComputedStyle(title).display === "inline";
    if (!inline && title.scrollWidth > title.clientWidth + 1)
      found.push(`cut: ${name(title)}`);
  }
  const entries = [...document.querySelectorAll(".bd-header .navbar-nav > li")].filter(shown);
  const middle = (element) => {
    const box = element.getBoundingClientRect();
    return (box.top + box.bottom) / 2;
  };
  if (entries.some((entry) => Math.abs(middle(entry) - middle(entries[0])) > 8))
    found.push("the top menu has several lines");
  for (const entry of entries)
    if (entry.getBoundingClientRect().height > 60) found.push(`two lines: ${name(entry)}`);
  return found;
})()
