// What lives in a page and on a slide without a kernel: predictions that are remembered, and views that swap their frames.
(() => {
  const memory = {  // a browser may forbid it for a file
    get(key) { try { return localStorage.getItem(key); } catch { return null; } },
    set(key, value) { try { localStorage.setItem(key, value); } catch { /* this page forgets */ } },
  };

  const choices = {};
  function choose(box, letter) {
    const name = box.dataset.name;
    const text = [...box.querySelectorAll("input")].find((input) => input.value === letter)?.parentElement.textContent.trim();
    if (!text) return;
    choices[name] = { letter, text };
    document.querySelectorAll(`.course-reveal[data-name="${CSS.escape(name)}"] .course-yours`).forEach((yours) => {
      const same = yours.closest(".course-reveal").dataset.measured === letter;
      yours.textContent = same ? `You chose ${letter}, too.` : `You chose ${text}.`;
    });
  }
  document.querySelectorAll(".course-predict").forEach((box) => {
    const key = `course:${box.dataset.name}`;
    const before = memory.get(key);
    box.querySelectorAll("input").forEach((input) => {
      input.checked = input.value === before;
      input.addEventListener("change", () => { memory.set(key, input.value); choose(box, input.value); });
    });
    if (before) choose(box, before);
  });

  document.querySelectorAll(".course-view").forEach((view) => {
    const { frames, whole } = JSON.parse(view.querySelector("script").textContent);
    const controls = [...view.querySelectorAll("[data-axis]")];
    const pane = view.querySelector(".course-frame");
    const home = controls.map((control) => +control.dataset.default);
    const place = [...home];
    const at = (control) => control.type === "checkbox" ? +control.checked : +control.value;
    function put(control, index) {
      if (control.type === "checkbox") control.checked = !!index; else control.value = index;
      const shown = view.querySelector(`output[for="${control.id}"]`);
      if (shown) shown.textContent = JSON.parse(control.dataset.shown)[index];
    }
    function draw() {
      const frame = frames[place.join(",")];
      if (!frame) return;
      if (frame.html !== undefined) { pane.innerHTML = frame.html; return; }
      const image = pane.querySelector("img") ?? pane.appendChild(document.createElement("img"));
      image.src = `frames/${frame.file}`;
      image.alt = frame.alt;
    }
    controls.forEach((control, n) => control.addEventListener("input", () => {
      if (!whole) controls.forEach((other, m) => { place[m] = home[m]; if (m !== n) put(other, home[m]); });
      place[n] = at(control);
      put(control, place[n]);
      draw();
    }));
  });
})();
