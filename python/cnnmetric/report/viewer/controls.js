// SPDX-License-Identifier: Apache-2.0
// Buttons, slider and legend of the viewer.

import { gradient } from "./colours.js";

function element(tag, { className = "", title = "", textContent = "" } = {}) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (title) made.title = title;
  made.textContent = textContent;
  return made;
}

/** A row of buttons of which one is chosen. */
function choice(label, name, options) {
  const group = element("div", { className: "choice" });
  group.setAttribute("role", "group");
  group.setAttribute("aria-label", label);
  const buttons = options.map(([value, textContent, title]) => {
    const button = element("button", { textContent, title });
    button.type = "button";
    button.dataset[name] = value;
    group.append(button);
    return button;
  });
  return { group, buttons };
}

export class Controls {
  constructor(facts, state, change) {
    this.facts = facts;
    this.state = state;
    this.element = element("div", { className: "controls" });
    this.legend = element("div", { className: "legend" });

    const choices = [
      choice("Moving image", "when", [
        ["before", "Before", "The moving image where the registration started (M)"],
        ["after", "After", "The moving image as registered (M)"],
      ]),
      choice("View", "mode", [
        ["overlay", "Overlay", "The moving image over the fixed one (O)"],
        ["checkerboard", "Checkerboard", "Fixed and moving image in turn (C)"],
        ["edges", "Edges", "Outlines of the fixed image on the moving one (E)"],
      ]),
      choice("Map", "map", [
        ["none", "No map", "The images alone"],
        ["jacobian", "Volume change", "Jacobian determinant of the transform; folding is marked"],
        ["dissimilarity", "Dissimilarity", "Where the metric still finds the images unlike"],
      ]),
    ];
    this.buttons = choices.flatMap(({ buttons }) => buttons);
    for (const button of this.buttons) {
      const change_ = { ...button.dataset };
      button.addEventListener("click", () => change({ ...change_, blink: false }));
    }

    this.slider = element("input");
    Object.assign(this.slider, { type: "range", min: 0, max: 100, id: "opacity" });
    this.slider.setAttribute("aria-label", "From the fixed to the moving image");
    this.slider.addEventListener("input", () =>
      change({ opacity: Number(this.slider.value), mode: "overlay", blink: false }),
    );
    const fade = element("label", { className: "fade" });
    fade.append(
      element("span", { textContent: "Fixed" }),
      this.slider,
      element("span", { textContent: "Moving" }),
    );

    this.blink = element("button", { textContent: "Blink", title: "Fixed and moving in turn (B)" });
    this.blink.type = "button";
    this.blink.id = "blink";
    this.blink.className = "toggle";
    this.blink.addEventListener("click", () => change({ blink: !this.state.blink }));

    const [when, mode, map] = choices.map(({ group }) => group);
    this.element.append(when, mode, fade, this.blink, map);
    this.place = element("span", { className: "place" });
    this.scale = element("span", { className: "scale" });
    this.legend.append(this.scale, this.place);
  }

  /** Show the state on the buttons. */
  update() {
    for (const button of this.buttons) {
      const [[name, value]] = Object.entries(button.dataset);
      button.setAttribute("aria-pressed", String(this.state[name] === value));
    }
    this.blink.setAttribute("aria-pressed", String(this.state.blink));
    this.slider.value = this.state.opacity;
    this.slider.style.setProperty("--share", `${this.state.opacity}%`);
    this.showScale();
  }

  showScale() {
    const map = this.facts.maps[this.state.map];
    this.scale.replaceChildren();
    if (!map) {
      this.scale.append(
        element("span", {
          textContent: this.facts.flat
            ? "Click to move the crosshair. Scroll with two fingers to zoom."
            : "Click or drag to move the crosshair, scroll to go through the slices.",
        }),
      );
      return;
    }
    const bar = element("span", { className: "bar" });
    bar.style.background = gradient(this.state.map, this.state.map === "jacobian" ? 253 : 255);
    this.scale.append(
      element("span", { textContent: map.title }),
      element("span", { textContent: map.low, className: "end" }),
      bar,
      element("span", { textContent: map.high, className: "end" }),
    );
    if (map.mark) this.scale.append(element("span", { className: "mark", textContent: map.mark }));
  }

  /** Show the position of the crosshair, in mm as NIfTI and 3D Slicer count. */
  showPlace(place) {
    const [x, y, z] = place.mm;
    const axis = (value, positive, negative) =>
      `${value < 0 ? negative : positive} ${Math.abs(value).toFixed(1)}`;
    const parts = [axis(x, "R", "L"), axis(y, "A", "P")];
    if (!this.facts.flat) parts.push(axis(z, "S", "I"));
    this.place.textContent = `${parts.join("   ")} mm`;
  }
}
