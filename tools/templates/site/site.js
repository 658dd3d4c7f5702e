// What the pages of the site do beside course.js: print, sort a table, light up a lesson's neighbours, search in a file.
(() => {
  // a file may not read other files: then results come without their surroundings
  if (location.protocol === "file:" && typeof DOCUMENTATION_OPTIONS !== "undefined") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;

  // the theme names its button other than it is written, "Search Ctrl + K"
  document.querySelectorAll(".search-button-field").forEach((button) => button.removeAttribute("aria-label"));

  document.querySelectorAll("[data-print]").forEach((button) => button.addEventListener("click", () => window.print()));

  document.querySelectorAll("table[data-sortable]").forEach((table) => {
    const heads = [...table.tHead.rows[0].cells];
    const body = table.tBodies[0];
    const order = new Intl.Collator("en", { numeric: true });
    heads.forEach((head, column) => head.querySelector("button").addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const text = (row) => row.cells[column].textContent.trim();
      const sorted = [...body.rows].sort((a, b) => order.compare(text(a), text(b)));
      body.append(...(down ? sorted.reverse() : sorted));
    }));
  });

  document.querySelectorAll(".course-map").forEach((map) => {
    const near = (number, on) => map.querySelectorAll(".course-way").forEach((way) => {
      if (way.dataset.from !== number && way.dataset.to !== number) return;
      way.classList.toggle("course-near", on);
      [way.dataset.from, way.dataset.to].forEach((end) => map.querySelector(`[data-lesson="${end}"]`).classList.toggle("course-near", on));
    });
    map.querySelectorAll(".course-box").forEach((box) => {
      const number = box.dataset.lesson;
      const link = box.closest("a") ?? box;
      for (const event of ["mouseenter", "focus"]) link.addEventListener(event, () => near(number, true));
      for (const event of ["mouseleave", "blur"]) link.addEventListener(event, () => near(number, false));
    });
  });
})();
