// SPDX-License-Identifier: Apache-2.0
// Colour tables of the viewer: stops of [place 0..255, red, green, blue, opacity]. NiiVue takes every
// opacity above 0 for 255; a layer as a whole is seen through by MAP_OPACITY.

export const MAP_OPACITY = 0.62;

export const TABLES = {
  // Unlike NiiVue's own grey, black is no hole.
  image: [
    [0, 0, 0, 0, 255],
    [255, 255, 255, 255, 255],
  ],
  // 128 is no change of volume; 255 marks folding.
  jacobian: [
    [0, 40, 108, 230, 255],
    [119, 190, 210, 244, 255],
    [120, 240, 240, 240, 0],
    [136, 240, 240, 240, 0],
    [137, 248, 208, 188, 255],
    [253, 222, 42, 34, 255],
    [254, 255, 0, 255, 255],
    [255, 255, 0, 255, 255],
  ],
  dissimilarity: [
    [0, 60, 12, 80, 0],
    [95, 100, 20, 105, 0],
    [96, 110, 20, 108, 255],
    [160, 215, 60, 62, 255],
    [215, 251, 150, 25, 255],
    [255, 252, 246, 150, 255],
  ],
};

// Outlines of the regions 1 and 2.
export const OUTLINES = {
  R: [0, 255, 255],
  G: [0, 200, 224],
  B: [0, 60, 130],
  A: [0, 255, 255],
  I: [0, 1, 2],
  labels: ["", "border", "bright parts"],
};

/** Return a table as NiiVue takes it. */
export function colormap(name) {
  const stops = TABLES[name];
  const column = (place) => stops.map((stop) => stop[place]);
  return { I: column(0), R: column(1), G: column(2), B: column(3), A: column(4) };
}

/** Return a table as a CSS gradient, for the legend. */
export function gradient(name, last = 255) {
  const stops = TABLES[name].filter((stop) => stop[0] <= last);
  const text = stops.map(([place, r, g, b, a]) => {
    const opacity = Math.max(0.12, a / 255).toFixed(2);
    return `rgb(${r} ${g} ${b} / ${opacity}) ${((100 * place) / last).toFixed(0)}%`;
  });
  return `linear-gradient(to right, ${text.join(", ")})`;
}
