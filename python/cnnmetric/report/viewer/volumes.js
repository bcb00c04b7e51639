// SPDX-License-Identifier: Apache-2.0
// Pictures that are made of the two images in the browser: outlines and a checkerboard. All arrays are
// of bytes on the grid of the fixed image, x fastest.

const TILE = 20; // mm, checkerboard
const BORDER = 26; // of 255: the edge of what an image shows

/** Return how far the neighbours along each axis are apart in an array; 0 for an axis of one voxel. */
function strides(size) {
  return [1, size[0], size[0] * size[1]].map((step, axis) => (size[axis] > 1 ? step : 0));
}

/** Return the mean of every voxel and its neighbours along the axes. */
function smoothed(image, size) {
  const found = new Uint8Array(image.length);
  const steps = strides(size).filter(Boolean);
  const number = 2 + 2 * steps.length;
  for (let i = 0; i < image.length; i++) {
    let sum = 2 * image[i];
    for (const step of steps) {
      const before = i - step;
      const after = i + step;
      sum += image[before >= 0 ? before : i] + image[after < image.length ? after : i];
    }
    found[i] = sum / number;
  }
  return found;
}

/** Return the value that best parts what an image shows in two (Otsu). */
function parting(image) {
  const counts = new Float64Array(256);
  for (const value of image) {
    if (value > BORDER) counts[value] += 1;
  }
  let total = 0;
  let sum = 0;
  counts.forEach((count, value) => {
    total += count;
    sum += count * value;
  });
  let best = 0;
  let found = 128;
  let below = 0;
  let sumBelow = 0;
  for (let value = 0; value < 255; value++) {
    below += counts[value];
    sumBelow += counts[value] * value;
    const above = total - below;
    if (!below || !above) continue;
    const between = below * above * (sumBelow / below - (sum - sumBelow) / above) ** 2;
    if (between > best) {
      best = between;
      found = value + 1;
    }
  }
  return found;
}

/** Return 1 where an image shows something, 2 in its bright parts, 0 elsewhere. */
export function regions(image, size) {
  const soft = smoothed(smoothed(image, size), size);
  const bright = parting(soft);
  return soft.map((value) => Number(value >= BORDER) + Number(value >= bright));
}

/** Return an image of cubes that show the one and the other image in turn. */
export function checkerboard(first, second, size, spacing) {
  const found = new Uint8Array(first.length);
  const tile = size.map((n, axis) => (n > 1 ? Math.max(2, Math.round(TILE / spacing[axis])) : 1e9));
  let i = 0;
  for (let z = 0; z < size[2]; z++) {
    const ofZ = Math.floor(z / tile[2]);
    for (let y = 0; y < size[1]; y++) {
      const ofRow = ofZ + Math.floor(y / tile[1]);
      for (let x = 0; x < size[0]; x++, i++) {
        found[i] = (ofRow + Math.floor(x / tile[0])) % 2 ? second[i] : first[i];
      }
    }
  }
  return found;
}
