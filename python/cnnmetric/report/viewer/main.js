// SPDX-License-Identifier: Apache-2.0
// The interactive part of report.html. The page holds the volumes as text and pictures that do without
// this script; where the viewer comes up, it takes their place.

import { MULTIPLANAR_TYPE, NVImage, Niivue, SHOW_RENDER, SLICE_TYPE } from "@niivue/niivue";
import { MAP_OPACITY, OUTLINES, TABLES, colormap } from "./colours.js";
import { Controls } from "./controls.js";
import { checkerboard, regions } from "./volumes.js";

const BLINK = 650; // ms
// Layers of the viewer, from back to front.
const [BASE, OVER, JACOBIAN, DISSIMILARITY] = [0, 1, 2, 3];
const HARDLY = 0.004; // opacity of the inside of regions, of which the rim is drawn
const MAPS = { jacobian: JACOBIAN, dissimilarity: DISSIMILARITY };

function text(id) {
  return document.getElementById(id)?.textContent.trim() ?? "";
}

async function volume(name, table, opacity) {
  const found = await NVImage.loadFromBase64({
    base64: text(`volume-${name}`),
    name: `${name}.nii.gz`,
    colormap: table,
    opacity,
    cal_min: 0,
    cal_max: 255,
    trustCalMinMax: false,
  });
  found.cal_min = 0;
  found.cal_max = 255;
  return found;
}

class Viewer {
  constructor(root, facts) {
    this.root = root;
    this.facts = facts;
    this.state = { when: "after", mode: "edges", map: "none", opacity: 50, blink: false };
    this.made = {}; // what was computed once
  }

  async start() {
    this.canvas = document.createElement("canvas");
    this.frame = document.createElement("div");
    this.frame.className = "canvas-frame";
    this.frame.append(this.canvas);
    const staged = document.createElement("div");
    staged.className = "viewer-stage";
    staged.append(this.frame);
    this.root.append(staged);

    this.nv = new Niivue({
      backColor: [0.043, 0.051, 0.063, 1],
      crosshairColor: [0.36, 0.62, 0.98, 0.6],
      crosshairWidth: 0.7,
      crosshairWidthUnit: "mm",
      crosshairGap: 10,
      fontColor: [0.72, 0.77, 0.84, 1],
      fontMinPx: 15,
      fontSizeScaling: 0.3,
      isOrientationTextVisible: true,
      showAllOrientationMarkers: true,
      isRadiologicalConvention: false,
      multiplanarLayout: MULTIPLANAR_TYPE.ROW,
      multiplanarShowRender: SHOW_RENDER.NEVER,
      multiplanarPadPixels: 10,
      tileMargin: 0,
      dragAndDropEnabled: false,
      loadingText: "",
      logLevel: "error",
      show3Dcrosshair: false,
      viewModeHotKey: "",
      clipPlaneHotKey: "",
      cycleClipPlaneHotKey: "",
    });
    for (const name of Object.keys(TABLES)) this.nv.addColormap(name, colormap(name));
    await this.nv.attachToCanvas(this.canvas);
    if (!this.nv.gl) throw new Error("this browser has no WebGL2");

    const [fixed, after, before, outlined, jacobian, dissimilarity] = await Promise.all([
      volume("fixed", "image", 1),
      volume("after", "image", 0.5),
      volume("before", "image", 0),
      volume("fixed", "image", 0),
      volume("jacobian", "jacobian", 0),
      volume("dissimilarity", "dissimilarity", 0),
    ]);
    this.size = fixed.hdr.dims.slice(1, 4);
    this.spacing = fixed.hdr.pixDims.slice(1, 4);
    this.images = { fixed: fixed.img, before: before.img, after: after.img };
    for (const layer of [fixed, after, jacobian, dissimilarity]) this.nv.addVolume(layer);
    outlined.img = regions(this.images.fixed, this.size);
    this.nv.setDrawColormap(OUTLINES);
    this.nv.loadDrawing(outlined);
    this.nv.drawRimOpacity = 1;
    const flat = this.size[2] === 1;
    this.nv.setSliceType(flat ? SLICE_TYPE.AXIAL : SLICE_TYPE.MULTIPLANAR);
    this.setHeight(flat);
    this.nv.setInterpolation(false);
    this.nv.onLocationChange = (place) => this.controls?.showPlace(place);

    this.controls = new Controls(this.facts, this.state, (change) => this.change(change));
    this.root.prepend(this.controls.element);
    staged.append(this.controls.legend);
    document.addEventListener("keydown", (event) => this.onKey(event));
    this.change({});
    this.nv.createOnLocationChange();
  }

  /** Make the canvas as high as the planes in a row need. */
  setHeight(flat) {
    const edge = this.size.map((n, axis) => n * this.spacing[axis]);
    const ratio = flat ? edge[1] / edge[0] : this.rowRatio();
    const resize = () => {
      const wide = this.frame.clientWidth;
      const high = Math.round(Math.min(Math.max(wide * ratio, 260), window.innerHeight * 0.74));
      this.frame.style.height = `${high}px`;
    };
    resize();
    window.addEventListener("resize", resize);
    this.nv.resizeListener();
  }

  /** Return height over width of the three planes side by side, by the patient's axes. */
  rowRatio() {
    const low = this.nv.volumes[0].extentsMinOrtho;
    const high = this.nv.volumes[0].extentsMaxOrtho;
    const [x, y, z] = high.map((end, axis) => end - low[axis]);
    return Math.max(y, z) / (x + x + y);
  }

  change(change) {
    const before = { ...this.state };
    Object.assign(this.state, change);
    if ("blink" in change && change.blink !== before.blink) this.blink(change.blink);
    this.draw();
    this.controls.update();
  }

  blink(on) {
    clearInterval(this.timer);
    this.shown = true;
    if (on) {
      this.timer = setInterval(() => {
        this.shown = !this.shown;
        this.draw();
      }, BLINK);
    }
  }

  /** Show the state: first what the layers hold, then how much of each is seen. */
  draw() {
    const { when, mode, map, opacity, blink } = this.state;
    const layers = this.nv.volumes;
    const moving = this.images[when];
    const base = { checkerboard: () => this.board(when), edges: () => moving }[mode];
    layers[BASE].img = base && !blink ? base() : this.images.fixed;
    layers[OVER].img = moving;
    const over = mode === "overlay" ? opacity / 100 : 0;
    layers[OVER]._opacity = blink ? Number(this.shown) : over;
    this.nv.drawOpacity = mode === "edges" && !blink ? HARDLY : 0;
    for (const [name, layer] of Object.entries(MAPS)) {
      layers[layer]._opacity = map === name ? MAP_OPACITY : 0;
    }
    this.nv.updateGLVolume();
    this.root.dataset.state = JSON.stringify({ ...this.state, shown: this.shown ?? true });
  }

  board(when) {
    this.made[when] ??= checkerboard(
      this.images.fixed,
      this.images[when],
      this.size,
      this.spacing,
    );
    return this.made[when];
  }

  onKey(event) {
    if (event.target.matches("input, summary, textarea, select")) return;
    const changes = {
      b: { blink: !this.state.blink },
      m: { when: this.state.when === "after" ? "before" : "after" },
      o: { mode: "overlay" },
      c: { mode: "checkerboard" },
      e: { mode: "edges" },
    };
    const change = changes[event.key];
    if (change && !event.ctrlKey && !event.metaKey && !event.altKey) this.change(change);
  }
}

async function main() {
  const root = document.getElementById("viewer");
  const still = document.getElementById("still");
  if (!root) return;
  try {
    const viewer = new Viewer(root, JSON.parse(text("report-data")));
    root.classList.add("live");
    await viewer.start();
    still.hidden = true;
    window.cnnmetricReport = viewer;
    root.dataset.ready = "true";
  } catch (error) {
    root.replaceChildren();
    root.classList.remove("live");
    const note = document.createElement("p");
    note.className = "note";
    note.textContent = `The interactive viewer cannot start here (${error.message}). It needs WebGL2.`;
    root.append(note);
    root.dataset.ready = "failed";
  }
}

main();
