// Starts reveal.js, and makes every slide fit: what is too tall gets smaller, down to SMALLEST; what still is too tall scrolls.
const SMALLEST = 0.7;

function fit(slide) {
  if (!slide || slide.dataset.fitted) return;
  slide.dataset.fitted = "yes";
  const room = Reveal.getConfig().height;
  const images = slide.querySelectorAll("img");
  const tall = () => { slide.style.height = "auto"; const height = slide.scrollHeight; slide.style.height = room + "px"; return height; };
  for (let limit = 600; limit >= 300 && tall() > room; limit -= 30)
    images.forEach((image) => { if (image.offsetHeight > limit) image.style.maxHeight = limit + "px"; });
  for (let zoom = 0.95; zoom >= SMALLEST && tall() > room; zoom -= 0.05)
    for (const part of slide.children) if (!part.classList.contains("running")) part.style.zoom = zoom;
  if (tall() > room) slide.classList.add("scrolls");
}

Reveal.initialize({
  width: 1280, height: 720, margin: 0.04, center: false, hash: true, transition: "none", slideNumber: "c/t", plugins: [RevealNotes],
}).then(() => fit(Reveal.getCurrentSlide()));
Reveal.on("slidechanged", (event) => fit(event.currentSlide));
