// The page of /diagnostics: gets a key, listens, has everything drawn.

import { draw } from "./draw.js";
import { Refused, exchange, forget, fromAddress, keep, known } from "./key.js";
import { listen } from "./live.js";
import { Plot, twos } from "./plot.js";
import { bits, bytes, count } from "./words.js";

const HOUR_MS = 3600_000;
const DAY_MS = 24 * HOUR_MS;
const DAY_SAMPLE_MS = 300_000;
const STATES = { waiting: "Connecting", live: "Live", lost: "Connection lost, trying again" };

const part = (id) => document.getElementById(id);
const plots = [
  new Plot({
    title: "Relayed", shown: bits, least: 1000,
    lines: [
      { name: "to clients", of: (sample) => sample.bits_to_clients },
      { name: "to peers", of: (sample) => sample.bits_to_peers },
    ],
  }),
  new Plot({ title: "Allocations", shown: count, least: 2, lines: [{ name: "live", of: (sample) => sample.allocations }] }),
  new Plot({
    title: "CPU", shown: (value) => `${value.toFixed(value < 10 ? 1 : 0)} %`, least: 10,
    lines: [{ name: "of one core", of: (sample) => sample.cpu_percent }],
  }),
  new Plot({
    title: "Memory", shown: bytes, least: 1 << 24, round: twos,
    lines: [{ name: "in use", of: (sample) => sample.resident_bytes }],
  }),
];
part("plots").append(...plots.map(({ element }) => element));

const measured = { hour: [], day: [] };
let span = "hour";

function showPlots() {
  for (const plot of plots) plot.show(measured[span], span === "hour" ? HOUR_MS : DAY_MS);
}

function choose(wanted) {
  span = wanted;
  for (const each of ["hour", "day"]) part(each).setAttribute("aria-pressed", String(each === span));
  showPlots();
}

function on(event, data) {
  if (event === "history") Object.assign(measured, data);
  if (event === "sample") take(data);
  if (event === "diagnostics") {
    part("everything").hidden = false;
    draw(data);
  }
  if (event !== "diagnostics") showPlots();
}

/** The same as the server keeps: an hour of samples, and a day of their means. */
function take(sample) {
  measured.hour = [...measured.hour.filter(({ at }) => at > sample.at - HOUR_MS), sample];
  const since = measured.day.at(-1)?.at ?? 0;
  const latest = measured.hour.filter(({ at }) => at > since);
  if (latest.length === 0 || sample.at - latest[0].at < DAY_SAMPLE_MS) return;
  const mean = (name) => latest.reduce((sum, each) => sum + each[name], 0) / latest.length;
  const most = (name) => Math.max(...latest.map((each) => each[name]));
  const together = {
    at: sample.at, allocations: most("allocations"), resident_bytes: most("resident_bytes"),
    bits_to_clients: mean("bits_to_clients"), bits_to_peers: mean("bits_to_peers"), cpu_percent: mean("cpu_percent"),
  };
  measured.day = [...measured.day.filter(({ at }) => at > sample.at - DAY_MS), together];
}

function state(word) {
  part("link").dataset.state = word;
  if (part("link").textContent !== STATES[word]) part("link").textContent = STATES[word];
}

async function open(given) {
  part("sign-in").hidden = true;
  part("refusal").textContent = "";
  state("waiting");
  const key = given ? await exchange(given) : known();
  if (given) keep(key);
  part("forget").hidden = !key;
  await listen(key, on, state);
}

/** Whoever is refused is asked for a key; without one so far, that is no error. */
function refused(error) {
  const had = known() !== null || error.wasGiven;
  forget();
  part("everything").hidden = true;
  part("forget").hidden = true;
  part("sign-in").hidden = false;
  part("link").textContent = "";
  if (had) part("refusal").textContent = `Not let in: ${error.message}`;
}

async function begin(given) {
  try {
    await open(given);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    error.wasGiven = Boolean(given);
    refused(error);
  }
}

part("hour").addEventListener("click", () => choose("hour"));
part("day").addEventListener("click", () => choose("day"));
part("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const key = part("key").value.trim();
  part("key").value = "";
  if (key) begin(key);
});
part("forget").addEventListener("click", () => {
  forget();
  location.reload();
});
begin(fromAddress());
