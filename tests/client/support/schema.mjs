// `turnbell.v1.schema.json`, held against every frame of a test. Closed here: what it does not name is refused,
// so that no field stays unwritten. (As it is published it is open, as both sides ignore what they do not know.)

import { readFileSync } from "node:fs";

import Ajv from "ajv/dist/2020.js";

const text = readFileSync(new URL("../../../src/web/client/turnbell.v1.schema.json", import.meta.url), "utf8");
export const schema = JSON.parse(text);
const ajv = new Ajv({ allErrors: true, allowUnionTypes: true, strictRequired: false, strictTypes: false });
ajv.addSchema(closed(schema), "turnbell.v1");

function closed(part) {
  if (Array.isArray(part)) return part.map(closed);
  if (part === null || typeof part !== "object") return part;
  const all = Object.fromEntries(Object.entries(part).map(([name, value]) => [name, closed(value)]));
  // Those without a type are conditions.
  const isObject = [part.type].flat().includes("object") && part.properties !== null && typeof part.properties === "object";
  return isObject ? { ...all, additionalProperties: false } : all;
}

const of = (name) => ajv.getSchema(`turnbell.v1#/$defs/${name}`);

/** What is wrong with a frame of a side, `client` or `server`; null if nothing is. */
export function fault(side, frame) {
  if (of(side)(frame)) return null;
  const ofItsType = of(`${side}.${frame?.t}`);
  if (!ofItsType) return `no frame of the ${side}: ${JSON.stringify(frame)}`;
  ofItsType(frame);
  return `${ajv.errorsText(ofItsType.errors)}: ${JSON.stringify(frame)}`;
}

/** Both directions of one connection, so that answers are held against what was asked. */
export class Conversation {
  /** What was wrong so far. */
  faults = [];
  #typeById = new Map();

  toServer(frame) {
    this.#note(fault("client", frame));
    if (typeof frame.id === "string") this.#typeById.set(frame.id, frame.t);
  }

  toClient(frame) {
    this.#note(fault("server", frame));
    const t = this.#typeById.get(frame.re);
    if (frame.t !== "ok" || t === undefined) return;
    const reply = of(`reply.${t}`);
    if (!reply(frame.d)) this.#note(`no answer to ${t}: ${ajv.errorsText(reply.errors)}: ${JSON.stringify(frame)}`);
  }

  #note(what) {
    if (what) this.faults.push(what);
  }
}
