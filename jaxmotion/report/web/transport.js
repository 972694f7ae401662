// Steps through pictures: a slider, buttons, keys, and a timeline to point at.

const SPEEDS = [2, 6, 12, 24];
const AHEAD = 4;

// shown: the frames that have pictures, of total. describe(frame): what there is to say of a frame, which it may also
// show. drawTimeline(cursor, handlers): an element with an svg that is as wide as the frames are many.
function makeTransport({ shown, total, frame, panels, speed, setSpeed, describe, onframe, drawTimeline, controls = [] }) {
  const last = shown.length - 1;
  let at = nearest(shown, frame); // the number of the picture
  const load = pictureCache(panels.length * (AHEAD + 4));
  let timer = null;

  const cursor = make("span", { class: "cursor" });
  const timeline = drawTimeline(cursor, { onpointerdown: onpointer, onpointermove: onpointer });
  const slider = make("input", { type: "range", min: 0, max: last, value: at, "aria-label": "Frame",
    oninput: () => { stop(); show(+slider.value); } });
  const play = make("button", { type: "button", class: "play", onclick: () => (timer ? stop() : start()) });
  const counter = make("span", { class: "counter" });
  const speeds = menu("speed", SPEEDS.map((fps) => [String(fps), `${fps} frames/s`]), speed, (fps) => { speed = fps; setSpeed?.(fps); });

  async function show(next) {
    const target = at = Math.max(0, Math.min(last, next));
    const images = await Promise.all(panels.map((panel) => panel.uri(target) && load(panel.uri(target))));
    if (at !== target) return; // another frame was asked for meanwhile
    panels.forEach((panel, p) => panel.show(at, images[p]));
    const text = `frame ${shown[at] + 1} of ${total}${describe(shown[at])}`;
    counter.textContent = text;
    slider.value = at;
    slider.setAttribute("aria-valuetext", text);
    cursor.style.left = `${(100 * shown[at]) / Math.max(1, total - 1)}%`;
    for (let i = at + 1; i <= at + AHEAD; i++) panels.forEach((panel) => panel.uri(i) && load(panel.uri(i)));
    if (!timer) onframe?.(shown[at]);
  }
  function start() {
    if (at >= last) at = -1;
    const tick = async () => {
      const began = performance.now();
      await show(at + 1);
      if (!timer) return;
      if (at >= last) return stop();
      timer = setTimeout(tick, Math.max(0, 1000 / speed - (performance.now() - began)));
    };
    timer = setTimeout(tick, 0);
    label();
  }
  function stop() {
    clearTimeout(timer);
    timer = null;
    label();
  }
  function label() {
    play.textContent = timer ? "❚❚ Pause" : "▶ Play";
  }
  function onkeydown(event) {
    if (event.target.matches("select, input") || event.altKey || event.ctrlKey || event.metaKey) return;
    const steps = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: last };
    if (event.key in steps) { stop(); show(steps[event.key]); }
    else if (event.key === " " && event.target === event.currentTarget) timer ? stop() : start();
    else return;
    event.preventDefault();
  }
  function onpointer(event) {
    if (event.type === "pointermove" && !event.buttons) return;
    const box = timeline.querySelector("svg").getBoundingClientRect();
    stop();
    show(nearest(shown, ((event.clientX - box.left) / box.width) * (total - 1)));
  }

  const step = (label, text, move) => make("button", { type: "button", "aria-label": label, title: label,
    onclick: () => { stop(); show(move()); } }, text);
  const parts = [timeline, slider, make("div", { class: "controls" }, step("Previous frame", "◀", () => at - 1), play,
    step("Next frame", "▶", () => at + 1), speeds, ...controls, counter)];
  label();
  show(at);
  return { parts, onkeydown, stop, frame: () => shown[at] };
}

function keysNote() {
  return make("p", { class: "note keys" }, "With the player in focus: ", ...["←", "→"].map((key) => make("kbd", {}, key)), " step, ",
    make("kbd", {}, "space"), " plays, ", make("kbd", {}, "Home"), make("kbd", {}, "End"), " jump.");
}

function nearest(shown, frame) {
  return shown.reduce((best, t, i) => (Math.abs(t - frame) < Math.abs(shown[best] - frame) ? i : best), 0);
}
