// Pictures with outlines over them.

function readLayer(number) {
  return isNumber(number) ? JSON.parse(byId(`layer-${number}`).textContent) : null;
}

// Decoded pictures, the latest few: a whole video would fill the memory.
function pictureCache(limit) {
  const cache = new Map();
  return (uri) => {
    if (!cache.has(uri)) {
      const image = new Image();
      image.src = uri;
      cache.set(uri, image.decode().then(() => image, () => null));
      if (cache.size > limit) cache.delete(cache.keys().next().value);
    }
    return cache.get(uri);
  };
}

// A panel: a picture with outlines over it. paths: [class, function of the number of the picture].
function makePanel(title, note, [height, width], uris, paths) {
  const canvas = make("canvas", { width: 1, height: 1, role: "img", "aria-label": title });
  const shapes = paths.map(([kind]) => draw("path", { class: kind, "fill-rule": "evenodd", "vector-effect": "non-scaling-stroke" }));
  const overlay = draw("svg", { viewBox: `-0.5 -0.5 ${width} ${height}`, preserveAspectRatio: "none", "aria-hidden": "true" }, ...shapes);
  return {
    element: make("figure", { class: "panel" },
      make("div", { class: "screen", style: { "aspect-ratio": `${width} / ${height}` } }, canvas, overlay),
      make("figcaption", {}, make("b", {}, title), note)),
    uri: (i) => uris?.[i],
    show(i, image) {
      canvas.width = image?.naturalWidth ?? 1; // which also clears it
      canvas.height = image?.naturalHeight ?? 1;
      if (image) canvas.getContext("2d").drawImage(image, 0, 0);
      shapes.forEach((shape, p) => shape.setAttribute("d", paths[p][1](i) ?? ""));
    },
  };
}
