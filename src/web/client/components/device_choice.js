// Which microphone, camera and speaker the user of this browser has chosen, in a test or in a call, for the next ones.

import { devices } from "../media.js";
import { h } from "./base.js";
import { text } from "./texts.js";

/** @typedef {"microphone" | "camera" | "speaker"} Kind */
/** @typedef {Partial<Record<Kind, string>>} Choice */

const KEY = "turnbell:devices";
/** @type {Kind[]} */
const KINDS = ["microphone", "camera", "speaker"];

/** @returns {Choice} */
function kept() {
  try {
    return JSON.parse(localStorage.getItem(KEY) ?? "{}") ?? {};
  } catch {
    return {};
  }
}

/** @param {Kind} kind @param {string} id */
export function choose(kind, id) {
  try {
    localStorage.setItem(KEY, JSON.stringify({ ...kept(), [kind]: id }));
  } catch {
    // closed to this page: it is chosen for this call
  }
}

/** What calls take: the microphone and the camera that were chosen and are plugged in. */
export async function forCalls() {
  const { microphone, camera } = await chosen();
  return { microphone, camera };
}

/** What was chosen and is plugged in. @returns {Promise<Choice>} */
export async function chosen() {
  const choice = kept();
  const there = await listed();
  return Object.fromEntries(KINDS.map((kind) => [kind, choice[kind]])
    .filter(([kind, id]) => id && there[/** @type {Kind} */ (kind)].some(({ deviceId }) => deviceId === id)));
}

/** Without those that the browser keeps back so far. @returns {Promise<Record<Kind, MediaDeviceInfo[]>>} */
async function listed() {
  const { microphones, cameras, speakers } = await devices();
  const named = (/** @type {MediaDeviceInfo[]} */ list) => list.filter(({ deviceId }) => deviceId);
  return { microphone: named(microphones), camera: named(cameras), speaker: named(speakers) };
}

/**
 * A labelled list for each kind of device there is.
 * @param {Partial<Record<Kind, string | undefined>>} now what is in use
 * @param {(kind: Kind, id: string) => unknown} take
 * @returns {Promise<HTMLElement[]>}
 */
export async function choices(now, take) {
  const there = await listed();
  const picked = { ...(await chosen()), ...now };
  return KINDS.filter((kind) => there[kind].length > 0).map((kind) => h("div", {}, h("label", { for: `choose-${kind}` }, text(kind)),
    h("select", { id: `choose-${kind}`, onchange: (/** @type {any} */ { target }) => {
      choose(kind, target.value);
      take(kind, target.value);
    } }, ...there[kind].map(({ deviceId, label }, at) => h("option", { value: deviceId, selected: deviceId === picked[kind] },
      label || text("nth_device", { kind: text(kind), number: at + 1 }))))));
}
