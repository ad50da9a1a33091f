// What all components share: making elements, icons, one style sheet, and a base class.

import { BASE } from "./styles.js";

/**
 * An element: attributes, listeners as `onclick`, children.
 * @param {string} tag
 * @param {Record<string, any>} [attributes] false, null and undefined are left out
 * @param {...(Node | string | null | false | undefined)} children
 * @returns {HTMLElement & Record<string, any>}
 */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.filter((child) => child !== null && child !== false && child !== undefined));
  return element;
}

/** Strokes on a field of 24 by 24. @type {Record<string, string>} */
const ICONS = {
  phone: "M6.6 3.5 9 3l2 5-2.2 1.6a12 12 0 0 0 5.6 5.6L16 13l5 2-.5 2.4a3 3 0 0 1-3.2 2.4C10.4 19.2 4.8 13.6 4.2 6.700a3 3 0 0 1 2.4-3.200Z",
  people: "M9 11.500a3.25 3.25 0 1 0 0-6.500 3.25 3.25 0 0 0 0 6.500ZM3 19a6 6 0 0 1 12 0M16 5.300a3.25 3.25 0 0 1 0 5.900M17.500 13.700A6 6 0 0 1 21 19",
  clock: "M12 20.500a8.5 8.5 0 1 0 0-17 8.5 8.5 0 0 0 0 17ZM12 7.500V12l3 2",
  mic: "M12 4a2.5 2.5 0 0 0-2.5 2.500v5a2.5 2.5 0 0 0 5 0v-5A2.5 2.5 0 0 0 12 4Zm-6 7.500a6 6 0 0 0 12 0M12 17.500V21m-3 0h6",
  mic_off: "M9.5 8v3.500a2.5 2.5 0 0 0 4.2 1.800M14.5 11V6.500a2.5 2.5 0 0 0-4.7-1.200M6 11.500a6 6 0 0 0 9.7 4.700M18 11.500a6 6 0 0 1-.5 2.400M12 17.500V21m-3 0h6M4 4l16 16",
  video: "M4 8.500A1.5 1.5 0 0 1 5.5 7h8A1.5 1.5 0 0 1 15 8.500v7a1.5 1.5 0 0 1-1.5 1.500h-8A1.5 1.5 0 0 1 4 15.500v-7Zm11 2 5-2.500v8l-5-2.5",
  video_off: "M4 8.500v7A1.5 1.5 0 0 0 5.5 17h8a1.5 1.5 0 0 0 1.3-.8M9.5 7h4A1.5 1.5 0 0 1 15 8.500v2l5-2.500v8l-2.5-1.200M4 4l16 16",
  screen: "M4 5.500h16v10.500H4V5.500ZM9 20h6m-3-4v4m0-7.500v-4m0 0L10 10.500m2-2 2 2",
  pause: "M9 6v12M15 6v12",
  play: "M8 5.500v13l10-6.5-10-6.500Z",
  devices: "M5 7h7m4 0h3M5 12h2m4 0h8M5 17h9m4 0h1M14 5v4M9 10v4M16 15v4",
  link: "M10 14a4 4 0 0 0 5.7 0l3-3a4 4 0 0 0-5.7-5.700l-1 1M14 10a4 4 0 0 0-5.7 0l-3 3a4 4 0 0 0 5.7 5.700l1-1",
  in: "M17 7 7 17m0 0h7m-7 0v-7",
  out: "M7 17 17 7m0 0h-7m7 0v7",
  missed: "M5 8l7 7 7-7M5 8v5m0-5h5",
  bell: "M6 16.500h12l-1.5-2.500v-3.500a4.5 4.5 0 0 0-9 0V14L6 16.500ZM10.5 19.500a1.7 1.7 0 0 0 3 0",
  bell_off: "M16.5 12.500v-2a4.5 4.5 0 0 0-7-3.700M7.5 10.500V14L6 16.500h10.500M10.5 19.500a1.7 1.7 0 0 0 3 0M4 4l16 16",
  check: "M5 12.500l4.5 4.500L19 7.5",
  close: "M6 6l12 12M18 6 6 18",
  sound: "M5 10v4h3l4 3.500v-11L8 10H5Zm10.5-1a4 4 0 0 1 0 6M18 6.500a8 8 0 0 1 0 11",
  lock: "M7 11V8.500a5 5 0 0 1 10 0V11M6 11h12v8.500H6V11Z",
  signal: "M5 18v-2M10 18v-5M15 18V9.500M20 18V5.5",
};

/** @param {string} name */
export function icon(name) {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  svg.classList.add("icon");
  const path = document.createElementNS(space, "path");
  // The receiver is laid down to end a call.
  path.setAttribute("d", ICONS[name === "end" ? "phone" : name] ?? "");
  if (name === "end") path.setAttribute("transform", "rotate(135 12 12)");
  svg.append(path);
  return svg;
}

/** Initials on a colour that belongs to the name. @param {string} name @param {string} [part] */
export function avatar(name, part = "avatar") {
  const words = name.trim().split(/\s+/).filter(Boolean);
  const letters = [words[0], words.length > 1 ? words.at(-1) : ""].map((word) => [...(word ?? "")][0] ?? "").join("");
  const sum = [...name].reduce((all, letter) => (all * 31 + (letter.codePointAt(0) ?? 0)) % 6, 0);
  return h("span", { class: `avatar hue-${sum}`, part, "aria-hidden": "true" }, letters.toUpperCase() || "?");
}

/** @param {string} css */
export function sheet(css) {
  const made = new CSSStyleSheet();
  made.replaceSync(css);
  return made;
}

/** @type {CSSStyleSheet | null} */
let base = null;

/** A component with a shadow root, the common styles and its own. */
export class Part extends HTMLElement {
  root;
  /** @type {(() => void)[]} */
  #listening = [];

  /** @param {CSSStyleSheet} [style] */
  constructor(style) {
    super();
    this.root = this.attachShadow({ mode: "open", delegatesFocus: false });
    base ??= sheet(BASE);
    this.root.adoptedStyleSheets = style ? [base, style] : [base];
  }

  /** Listeners of things that outlive the component end with it. @param {...(() => void)} offs */
  until(...offs) {
    this.#listening.push(...offs);
  }

  /** Ends what `until` was given. */
  release() {
    for (const off of this.#listening.splice(0)) off();
  }

  disconnectedCallback() {
    this.release();
  }

  /** Tells the page. @param {string} name @param {unknown} [detail] */
  tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail, bubbles: true, composed: true }));
  }
}

/** @param {string} name @param {CustomElementConstructor} made */
export function define(name, made) {
  if (!customElements.get(name)) customElements.define(name, made);
}
