// Draws what the server found out. Reads it, never changes it; what did not change is left alone.

import { bits, bytes, count, duration, moment, percent, plural } from "./words.js";

const WORDS = { green: "All well", yellow: "Worth a look", red: "Something is broken" };
const MARKS = { green: "✓", yellow: "!", red: "✕" };
const drawn = new Map();
const part = (id) => document.getElementById(id);

/** Shows everything in `found`, the JSON of `/api/diagnostics`. */
export function draw(found) {
  document.title = `${MARKS[found.state]} turnbell: diagnostics`;
  text("about", `Version ${found.version}, up for ${duration(found.uptime_s)}`);
  part("verdict").dataset.state = found.state;
  text("state-word", WORDS[found.state]);
  text("verdict-says", found.verdict);
  const [well, todo] = [[], []];
  for (const item of found.items) (item.state === "green" ? well : todo).push(item);
  part("todo-section").hidden = todo.length === 0;
  fill("todo", todo.map(itemNode));
  fill("tiles", tiles(found));
  fill("cards", cards(found));
  text("well-title", `What is well (${well.length})`);
  fill("well-list", well.map(itemNode));
  text("config-title", `Config in effect: ${found.config?.file ?? "built-in default"}`);
  fill("config-body", config(found.config));
}

function text(id, value) {
  if (part(id).textContent !== value) part(id).textContent = value;
}

function fill(id, nodes) {
  const shape = JSON.stringify(nodes);
  if (drawn.get(id) === shape) return;
  drawn.set(id, shape);
  part(id).replaceChildren(...nodes.map(build));
}

/** `[tag, attributes, ...children]` to an element; a string to a text. */
function build(node) {
  if (typeof node === "string") return document.createTextNode(node);
  const [tag, attributes, ...children] = node;
  const svg = ["svg", "rect"].includes(tag);
  const element = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children.map(build));
  return element;
}

function itemNode({ state, title, says, cure }) {
  const words = [["h3", {}, title], ["p", {}, says]];
  if (cure) words.push(["p", { class: "cure" }, ["b", {}, "Do this: "], cure]);
  const spoken = { green: "Well", yellow: "Worth a look", red: "Broken" }[state];
  return ["li", { "data-state": state },
    ["span", { class: "mark", role: "img", "aria-label": spoken }, MARKS[state]], ["div", {}, ...words]];
}

function tiles({ allocations, relayed, calls, ports, process, record }) {
  const tile = (name, value, note) => ["div", {}, ["dt", {}, name], ["dd", {}, value, ["small", {}, note]]];
  const all = relayed.bits_per_s_to_peers + relayed.bits_per_s_to_clients;
  return [
    tile("Allocations", count(allocations.live), `${count(allocations.opened)} since the start`),
    tile("Relayed", bits(all), `${bytes(relayed.bytes)} since the start`),
    tile("Calls", count(calls.live), `${count(calls.total)} in 24 h`),
    tile("Relay ports free", count(ports.free), `${count(ports.used)} in use, ${ports.range}`),
    tile("CPU", `${process.cpu_percent.toFixed(1)} %`, "of one core"),
    tile("Memory", bytes(process.resident_bytes), `database ${bytes(record.file_bytes)}`),
  ];
}

function cards(found) {
  return [
    card("Capacity", capacity(found.capacity)),
    card("Quotas", quotas(found)),
    card("Who relays most", talkers(found.top_talkers)),
    card("Refused credentials", refused(found.refused)),
    card("Calls of the last day", callsBody(found.calls)),
    card("Way of the media", share(found.relay_share)),
    card("Quality", quality(found.quality)),
    card("Verified from", verified(found.verifications)),
    card("Addresses", addresses(found)),
    card("Certificate", certificate(found.certificate)),
    card("Database", record(found.record)),
    card("Kernel", kernel(found)),
  ];
}

const card = (title, body) => ["section", { class: "card" }, ["h2", {}, title], ...body];
const quiet = (words) => [["p", { class: "quiet" }, words]];

/** Rows of a name and a value. */
const facts = (rows) => [["dl", { class: "facts" },
  ...rows.map(([name, ...value]) => ["div", {}, ["dt", {}, name], ["dd", {}, ...value]])]];

function table(heads, rows) {
  const cell = (value, at) => (at === 0 ? ["th", { scope: "row" }, value] : ["td", {}, value]);
  return ["table", {},
    ["thead", {}, ["tr", {}, ...heads.map((head) => ["th", { scope: "col" }, head])]],
    ["tbody", {}, ...rows.map((row) => ["tr", {}, ...row.map(cell)])]];
}

/** A bar of `used` of `limit`; SVG, for no style may stand in the page. */
function bar(used, limit) {
  const share = limit ? Math.min(100, (used / limit) * 100) : 0;
  const state = share >= 100 ? "red" : share >= 80 ? "yellow" : "green";
  return ["svg", { class: "meter", viewBox: "0 0 100 6", preserveAspectRatio: "none", "aria-hidden": "true" },
    ["rect", { class: "ground", width: "100", height: "6" }],
    ["rect", { class: state, width: share.toFixed(2), height: "6" }]];
}

function capacity({ says, bounds }) {
  if (!bounds.length) return quiet(says);
  const rows = bounds.map(({ calls, from }) => [from, count(calls)]);
  return [["p", {}, says], table(["Bound by", "Calls"], rows)];
}

function quotas({ quota, descriptors }) {
  const used = (name, { used, limit }) =>
    ["div", {}, ["p", { class: "of" }, ["span", {}, name], ["b", {}, `${count(used)} of ${count(limit)}`]], bar(used, limit)];
  const first = (list, limit, name) => (list.length ? [used(`${name} ${list[0].name}`, { used: list[0].allocations, limit })] : []);
  return [
    used("All allocations", quota.total),
    ...first(quota.users, quota.per_user, "Most of one user:"),
    ...first(quota.sources, quota.per_source, "Most of one address:"),
    used("File descriptors", descriptors),
  ];
}

function talkers(list) {
  if (!list.length) return quiet("Nobody relays anything at this moment.");
  return [table(["User", "Now", "In all"], list.map(({ user, bits_per_s, bytes: all }) => [user, bits(bits_per_s), bytes(all)]))];
}

function refused(list) {
  if (list.every((cause) => cause.count === 0)) return quiet("Nobody came with credentials that were refused.");
  const seen = list.filter((cause) => cause.count > 0);
  const name = ({ cause, means }) => `${cause.replaceAll("_", " ")}: ${means}`;
  return [table(["Cause", "1 h", "All"], seen.map((cause) => [name(cause), count(cause.last_hour), count(cause.count)]))];
}

function callsBody({ total, live, by_status, by_reason, problem }) {
  if (problem) return quiet(`They cannot be counted: ${problem}`);
  if (!total) return quiet("Nobody called anybody.");
  const list = (words) => words.map(({ code, count: many }) => [code.toLowerCase().replaceAll("_", " "), count(many)]);
  return [
    ["p", {}, `${plural(total, "call")}, ${count(live)} on at this moment.`],
    table(["Status", "Calls"], list(by_status)),
    ...(by_reason.length ? [table(["Ended by", "Calls"], list(by_reason))] : []),
  ];
}

function share(all) {
  const names = { direct: "Direct", udp: "Relayed over UDP", tcp: "Relayed over TCP", tls: "Relayed over TLS" };
  const total = Object.keys(names).reduce((sum, name) => sum + all[name], 0);
  if (!total) return quiet("No client said how its media went.");
  let from = 0;
  const pieces = Object.keys(names).map((name) => {
    const width = (all[name] / total) * 100;
    const piece = ["rect", { class: name, x: from.toFixed(2), width: width.toFixed(2), height: "6" }];
    from += width;
    return piece;
  });
  const rows = Object.entries(names).map(([name, label]) =>
    [["span", { class: `swatch ${name}` }, label], `${count(all[name])} (${percent(all[name], total)})`]);
  return [
    ["svg", { class: "meter wide", viewBox: "0 0 100 6", preserveAspectRatio: "none", "aria-hidden": "true" }, ...pieces],
    ["dl", { class: "facts pairs" }, ...rows.map(([name, value]) => ["div", {}, ["dt", {}, name], ["dd", {}, value]])],
  ];
}

function quality(all) {
  if (!all.reports) return quiet("No client reported how a call sounded.");
  const rows = [
    ["Round trip", all.rtt_ms, (value) => `${value.toFixed(0)} ms`],
    ["Jitter", all.jitter_ms, (value) => `${value.toFixed(1)} ms`],
    ["Lost", all.loss_percent, (value) => `${value.toFixed(1)} %`],
    ["MOS (1 to 4.5)", all.mos, (value) => value.toFixed(2)],
  ].filter(([, value]) => value);
  return [
    table(["Measured", "Middle", "Worst 5 %"], rows.map(([name, value, shown]) => [name, shown(value.p50), shown(value.p95)])),
    ["p", { class: "quiet" }, `From ${plural(all.reports, "report")} of the last day.`],
  ];
}

function verified(list) {
  const names = { this_machine: "This machine", another_machine: "Another machine", browser: "A browser" };
  return facts(list.map(({ vantage, at, ok, verdict }) =>
    [names[vantage] ?? vantage, at ? `${ok ? "Works" : verdict ?? "Fails"}, ${moment(at)}` : "Not yet"]));
}

function addresses({ addresses: list, listeners }) {
  const relay = list.map(({ address, told, why, told_by }) =>
    ["Relaying on", address, ["small", {}, address === told ? why : `told as ${told}: ${told_by}`]]);
  const names = { udp: "UDP", tcp: "TCP", tls: "TLS", http: "HTTP", https: "HTTPS" };
  const open = Object.entries(names).filter(([name]) => listeners[name].length);
  return facts([...relay, ...open.map(([name, label]) => [label, listeners[name].join(", ")])]);
}

function certificate(known) {
  if (!known) return quiet("None is configured.");
  const rows = [["For", known.hosts], ["Ends", `${moment(known.expires_at)}, ${plural(known.days_left, "day")} left`]];
  if (known.problem) rows.push(["Problem", known.problem]);
  return facts(rows);
}

function record(known) {
  return facts([
    ["State", known.ok ? "Being written" : `Not written: ${known.problem}`],
    ["Rows since the start", `${count(known.stored)} stored, ${count(known.dropped)} lost`],
    ["File", known.path, ["small", {}, `${bytes(known.file_bytes)}, SQLite ${known.sqlite_version}`]],
    ...(known.disk_free_bytes === undefined ? [] : [["Left on the disk", bytes(known.disk_free_bytes)]]),
  ]);
}

function kernel({ drops, ports, allocations }) {
  const { by_transport: way, by_family: family } = allocations;
  return facts([
    ["Datagrams thrown away", `${count(drops.listeners)} at listeners, ${count(drops.relay_sockets)} at relay sockets`,
      ["small", {}, `${count(drops.last_hour)} within the last hour, ${count(drops.machine)} on the whole machine`]],
    ["Relay ports", `${count(ports.free)} free, ${count(ports.used)} used, ${count(ports.resting)} held by others`],
    ["Allocations by transport", `UDP ${count(way.udp)}, TCP ${count(way.tcp)}, TLS ${count(way.tls)}`],
    ["Allocations by family", `IPv4 ${count(family.ipv4)}, IPv6 ${count(family.ipv6)}, both ${count(family.both)}`],
  ]);
}

function config(known) {
  if (!known) return quiet("Unknown.");
  const shown = (value) => (Array.isArray(value) ? value.join(", ") || "none" : String(value) || "none");
  const rows = known.settings.map(({ key, value, from, line, note, after_restart: waiting }) => {
    const source = line ? `line ${line}` : from;
    const more = [note, waiting && `after a restart: ${waiting}`].filter(Boolean).join("; ");
    return ["div", { class: from === "default" ? "" : "set" },
      ["dt", {}, ["code", {}, key]], ["dd", {}, ["code", {}, shown(value)], ["small", {}, more ? `${source}; ${more}` : source]]];
  });
  return [["dl", { class: "settings" }, ...rows]];
}
