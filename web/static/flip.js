// Moves what has changed its place from where it was seen to where it is now.

const MOVE_MS = 700;
const EASING = "cubic-bezier(.22,.8,.26,1)";
const calm = matchMedia("(prefers-reduced-motion: reduce)");

/** The vertical shift that an element shows at this moment, in pixels: not 0 while it is still moving. */
function shift(element) {
  const { transform } = getComputedStyle(element);
  return transform === "none" ? 0 : new DOMMatrix(transform).m42;
}

/**
 * Call after each drawing, with the same `places` (a Map by element). `place` of an element is its offsetTop,
 * which neither scrolling nor a running movement changes.
 */
export function settle(elements, places) {
  const before = new Map(places);
  places.clear();
  const moves = [];
  for (const element of elements) {
    const now = element.offsetTop;
    places.set(element, now);
    const was = before.get(element);
    if (was !== undefined && was !== now) moves.push([element, was - now + shift(element)]);
  }
  if (calm.matches) return;
  for (const [element, distance] of moves) {
    element.style.zIndex = distance > 0 ? 1 : 0; // who climbs passes over who falls
    element.getAnimations().forEach((running) => running.id === "flip" && running.cancel());
    const movement = element.animate([{ transform: `translateY(${distance}px)` }, { transform: "none" }], {
      duration: MOVE_MS,
      easing: EASING,
    });
    movement.id = "flip";
    movement.onfinish = () => { element.style.zIndex = ""; };
  }
}
