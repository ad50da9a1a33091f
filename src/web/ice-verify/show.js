// Draws what is known. Everything that came from outside goes in as text, never as HTML.

import { CARRIERS, TEXTS } from "./words.js";

export const at = (id) => document.getElementById(id);

const element = (name, attributes = {}, ...children) => {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== undefined) made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== undefined && child !== ""));
  return made;
};

export function verdict(severity, title, cure = "") {
  at("verdict").dataset.severity = severity;
  at("verdict-title").textContent = sentence(title);
  at("verdict-cure").textContent = sentence(cure);
}

const sentence = (text) => (text ? text[0].toUpperCase() + text.slice(1) + (/[.!?…]$/.test(text) ? "" : ".") : "");

export function progress(value) {
  at("progress").hidden = value === null;
  at("progress").value = value ?? 0;
}

/** Findings, the worst first; the one on top is not said twice. */
export function findings(verdicts) {
  at("found").replaceChildren(...verdicts.map(finding));
  at("found-section").hidden = verdicts.length === 0;
}

function finding({ severity, cause, cure, observation, urls = [] }) {
  return element("li", { "data-severity": severity },
    element("strong", {}, sentence(cause)),
    element("span", {}, sentence(cure)),
    ...urls.map((url) => element("small", {}, element("code", {}, url))),
    observation ? element("small", {}, observation) : undefined);
}

/** `ways`: `{url, own, carrier, state, report?, tookS?}`; `lines`: what the server saw, or null. */
export function ways(list, lines) {
  at("ways").replaceChildren(...list.map((way) => drawWay(way, lines)));
  at("ways-section").hidden = list.length === 0;
}

function drawWay(way, lines) {
  const label = `${way.isTurn ? "TURN" : "STUN"} over ${CARRIERS[way.carrier]}`;
  return element("li", { "data-url": way.url, "data-state": way.state },
    element("div", { class: "way-head" },
      element("b", {}, label),
      element("span", { class: "badge", "data-state": way.state }, TEXTS.state[way.state]),
      element("code", {}, way.url)),
    element("div", { class: "sides" },
      element("div", {}, element("h3", {}, TEXTS.browserSide), ...browserSide(way)),
      element("div", {}, element("h3", {}, TEXTS.serverSide), ...serverSide(way, lines))));
}

function browserSide({ report, isTurn, tookS, state }) {
  if (!report) return [element("p", {}, "…")];
  const { relayed, mapped, errors = [], call } = report;
  const works = state === "ok";
  const words = [];
  if (mapped) words.push(TEXTS.mapped(mapped));
  if (relayed) words.push(TEXTS.relayed(relayed));
  const isTaken = !errors.some(({ code }) => code === 0);
  if (isTurn && !relayed && isTaken) words.push(TEXTS.noRelay(tookS ?? "?"));
  if (!isTurn && !mapped && works) words.push(TEXTS.noNat);
  else if (!isTurn && !mapped && isTaken) words.push(TEXTS.noMapped(tookS ?? "?"));
  if (relayed && !call?.connected) words.push(TEXTS.noCall);
  // A family that the name lacks is an error where all is well.
  const told = errors.filter(({ code }) => !(works && code === 701));
  words.push(...told.map(({ code, text }) => TEXTS.iceError(code, text)));
  if (call?.connected) {
    const numbers = [];
    if (call.rtt_ms !== undefined) numbers.push(TEXTS.rtt(call.rtt_ms));
    if (call.sent > 0) numbers.push(TEXTS.arrived(call.received, call.sent));
    if (call.kbit_s !== undefined) numbers.push(TEXTS.rate(call.kbit_s));
    words.push(numbers.join(", "));
  }
  return words.map((word) => element("p", { class: "number" }, word));
}

function serverSide({ own, carrier, isTurn, report }, lines) {
  if (!own) return [element("p", {}, TEXTS.foreign)];
  const isOfIt = ({ code }) => (isTurn ? !["http", "done", "challenged"].includes(code) : code === "binding");
  const mine = (lines ?? []).filter((line) => line.transport === carrier && isOfIt(line));
  if (mine.length === 0) return [element("p", {}, report ? TEXTS.nothing : "…")];
  const seen = [...new Set(mine.map((line) => line.text))];
  return seen.slice(-5).map((text) => element("p", { class: "number" }, text));
}

export function serverLines(lines) {
  at("server-section").hidden = lines === null;
  if (lines === null) return;
  at("server-none").hidden = lines.length > 0;
  at("server").replaceChildren(...lines.map((line) => element("li", {},
    element("time", { datetime: new Date(line.at).toISOString() }, new Date(line.at).toLocaleTimeString()),
    element("span", {}, line.text),
    element("small", {}, `${TEXTS.certainty[line.certainty] ?? line.certainty}, ${CARRIERS[line.transport] ?? line.transport} from ${line.from}`))));
}

/** The last look of the server at itself. */
export function self(answer) {
  const report = answer?.report;
  at("self-section").hidden = !answer;
  if (!answer) return;
  at("self-summary").textContent = report
    ? TEXTS.selfAt(new Date(report.started_at).toLocaleTimeString()) : answer.problem ?? TEXTS.selfNever;
  at("self").replaceChildren(...(report?.verdicts ?? []).map(finding));
}
