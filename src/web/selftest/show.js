// Draws what is known of the call into the page. Reads it, never changes it.

const SIDES = ["caller", "callee"];
const TIMES = {
  config: "ICE config", candidate: "relay address", connected: "connected", picture: "first picture",
};
const drawn = new Map(); // what each element shows, so that an unchanged one is left alone

export const page = (id) => document.getElementById(id);

/** Shows everything in `known`; cheap when nothing changed. */
export function show(known) {
  page("verdict").dataset.state = known.state;
  text("verdict-title", known.verdict.title);
  text("verdict-cure", known.verdict.cure ?? "");
  text("timing", timing(known.setupMs));
  text("start", known.state === "idle" ? "Start" : "Start again");
  page("stop").disabled = !known.live;
  page("sides").hidden = !known.live && SIDES.every((side) => !known.stats[side]?.framesDecoded);
  page("camera").setAttribute("aria-pressed", String(known.source === "camera"));
  for (const side of SIDES) redraw(`${side}-facts`, facts(known.stats[side]));
  const paired = SIDES.filter((side) => known.selectedPair[side]);
  redraw("pair", paired.map((side) => pairRow(side, known.selectedPair[side])));
  redraw("candidates", known.candidates.map(candidateRow));
  page("errors-section").hidden = known.errors.length === 0;
  redraw("errors", errors(known.errors));
}

/** A sentence below the buttons; empty removes it. */
export function notice(sentence) {
  text("notice", sentence);
}

function text(id, value) {
  if (page(id).textContent !== value) page(id).textContent = value;
}

/** Replaces the children of an element if they differ: `rows` is plain data, see `build`. */
function redraw(id, rows) {
  const shape = JSON.stringify(rows);
  if (drawn.get(id) === shape) return;
  drawn.set(id, shape);
  const element = page(id);
  const none = element.tagName === "TBODY" ? [tr([["", "none yet", "none"]])] : [];
  element.replaceChildren(...(rows.length ? rows : none).map(build));
}

/** `[tag, attributes, ...children]` to an element; a string to a text. */
function build(node) {
  if (typeof node === "string") return document.createTextNode(node);
  const [tag, attributes, ...children] = node;
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children.map(build));
  return element;
}

/** A table row of `[column, text, class?]`; narrow screens show the column before the text. */
function tr(cells) {
  const cell = ([column, value, kind]) => {
    const more = kind ? { class: kind, colspan: "7" } : {};
    return ["td", { role: "cell", "data-column": column, ...more }, String(value ?? "–")];
  };
  return ["tr", { role: "row" }, ...cells.map(cell)];
}

function pairRow(side, { local, remote }) {
  const end = ({ type, address, port, protocol }) => `${type} ${host(address)}:${port} ${protocol}`;
  return tr([["Side", side], ["Its own end", end(local)], ["The far end", end(remote)], ["Relay used", local.url]]);
}

function candidateRow({ side, type, protocol, address, port, relayProtocol, url }) {
  return tr([["Side", side], ["Type", type], ["Protocol", protocol], ["Address", address], ["Port", port],
    ["Relay protocol", relayProtocol], ["URL", url]]);
}

/** One entry for the same error on both sides. */
function errors(list) {
  const same = Map.groupBy
    ? Map.groupBy(list, ({ code, url, text: words }) => `${code} ${url} ${words}`)
    : new Map(list.map((error, number) => [number, [error]]));
  return [...same.values()].map((group) => {
    const { code, url, text: words, cause, cure } = group[0];
    const where = [...new Set(group.map(({ side }) => side))].join(" and ");
    const raw = [`error ${code}`, words && `“${words}”`, url, `seen by ${where}`].filter(Boolean).join(" · ");
    return ["li", {}, `${cause} ${cure}`, ["small", {}, raw]];
  });
}

function facts(stats) {
  const fact = (name, value, more) =>
    ["div", {}, ["dt", {}, name], ["dd", {}, value, ...(more ? [["small", {}, more]] : [])]];
  if (!stats) return ["Round trip", "Frames decoded", "Received", "Sent"].map((name) => fact(name, "–"));
  const size = stats.width ? `${stats.width} × ${stats.height}, ${Math.round(stats.framesPerSecond)} a second` : "";
  if (stats.rttMs === null && !stats.bytesIn) return facts(null);
  return [
    fact("Round trip", roundTrip(stats.rttMs)),
    fact("Frames decoded", String(stats.framesDecoded), size),
    fact("Received", amount(stats.bytesIn), traffic(stats.bitsInPerSecond, stats.packetsIn)),
    fact("Sent", amount(stats.bytesOut), traffic(stats.bitsOutPerSecond, stats.packetsOut)),
  ];
}

function timing(setupMs) {
  const parts = Object.entries(TIMES).filter(([key]) => setupMs[key] !== undefined);
  if (!parts.length) return "";
  const list = parts.map(([key, name]) => `${name} ${setupMs[key]} ms`).join(", ");
  return setupMs.picture === undefined ? `So far: ${list}.` : `Set up in ${setupMs.picture} ms: ${list}.`;
}

function roundTrip(ms) {
  if (ms === null) return "–";
  return ms < 1 ? "under 1 ms" : `${Math.round(ms)} ms`;
}

function amount(bytes) {
  if (bytes < 1_000) return `${bytes} B`;
  return bytes < 1_000_000 ? `${(bytes / 1_000).toFixed(1)} kB` : `${(bytes / 1_000_000).toFixed(2)} MB`;
}

function traffic(bitsPerSecond, packets) {
  const rate = `${Math.round(bitsPerSecond / 1_000)} kbit/s`;
  return packets === null ? rate : `${packets} packets, ${rate}`;
}

function host(address) {
  if (!address) return "(hidden)";
  return address.includes(":") ? `[${address}]` : address;
}
