// Bars under the player: what each track does, and when. They share the timeline's width, cursor and pointer.

const ROW = 18; // pixels

// A plot of the share that moves, with the bars of the events below it.
function withEvents(curve, cursor, { events, total, segments }, handlers) {
  if (!events.length) return make("div", handlers, curve);
  const last = Math.max(1, total - 1);
  const colors = Object.fromEntries(segments.map(({ label, color }) => [label, color]));
  cursor.style.setProperty("bottom", `${-ROW * events.length - 12}px`);
  curve.style.setProperty("margin-left", "8rem");
  const rows = events.map(({ track, kind, spans }) => make("div", { class: "events-row" },
    make("span", { class: "events-name" }, `${kind} `, chip({ label: track, color: colors[track] ?? "var(--soft)" })),
    ...spans.map(([start, stop, score]) => make("span", {
      class: "events-bar", title: `segment ${track}: ${kind}, frames ${start + 1} to ${stop}, score ${score.toFixed(2)}`,
      style: { left: `${(100 * start) / last}%`, width: `${(100 * (Math.min(stop, last) - start)) / last}%`,
        background: colors[track] ?? "var(--soft)", opacity: String(0.35 + 0.65 * score) } }))));
  return make("div", { class: "with-events", ...handlers }, curve, make("div", { class: "events" }, ...rows));
}
