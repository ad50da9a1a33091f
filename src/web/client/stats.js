// From `getStats` to a quality report: the path in use and what went over it since the last time. Pure.

/**
 * @typedef {{ local: string, remote: string, proto: "udp" | "tcp" | "tls" }} Pair
 * @typedef {Record<string, any>} Stat
 *
 * @typedef {object} Sample what `quality.report` says
 * @property {number} window_ms
 * @property {number} [rtt_ms]
 * @property {number} [jitter_ms]
 * @property {number} [loss_percent]
 * @property {number} [mos]
 * @property {number} [bitrate_in]
 * @property {number} [bitrate_out]
 * @property {number} [concealed_percent]
 * @property {number} [level_in]
 * @property {number} [level_out]
 * @property {number} [packets_in]
 * @property {Pair} [pair]
 * @property {string} [codec]
 *
 * @typedef {object} Counters
 * @property {number} at
 * @property {number} bytesIn
 * @property {number} bytesOut
 * @property {number} packetsIn
 * @property {number} lost
 * @property {number} samples
 * @property {number} concealed
 */

const TYPES = ["host", "srflx", "prflx", "relay"];

/** @param {Iterable<Stat>} all */
function index(all) {
  const byId = new Map([...all].map((stat) => [stat.id, stat]));
  const list = [...byId.values()];
  return { byId, list };
}

/** @param {ReturnType<typeof index>} stats */
function selectedPair({ byId, list }) {
  const id = list.find((stat) => stat.type === "transport" && stat.selectedCandidatePairId)?.selectedCandidatePairId;
  return byId.get(id)
    ?? list.find((stat) => stat.type === "candidate-pair" && stat.selected)
    ?? list.find((stat) => stat.type === "candidate-pair" && stat.nominated && stat.state === "succeeded");
}

/**
 * By which way the media goes; undefined before it goes any.
 * @param {Iterable<Stat>} all
 * @returns {Pair | undefined}
 */
export function pathOf(all) {
  const stats = index(all);
  const pair = selectedPair(stats);
  const local = stats.byId.get(pair?.localCandidateId);
  const remote = stats.byId.get(pair?.remoteCandidateId);
  if (!local || !remote || !TYPES.includes(local.candidateType) || !TYPES.includes(remote.candidateType)) return undefined;
  const proto = (local.candidateType === "relay" && local.relayProtocol) || local.protocol;
  return {
    local: local.candidateType,
    remote: remote.candidateType,
    proto: proto === "tcp" || proto === "tls" ? proto : "udp",
  };
}

/**
 * What to report, and what to hand in the next time.
 * @param {Iterable<Stat>} all
 * @param {number} now milliseconds
 * @param {Counters | null} before
 * @returns {{ sample: Sample, counters: Counters }}
 */
export function measure(all, now, before) {
  const stats = index(all);
  const find = (/** @type {string} */ type, kind = "audio") =>
    stats.list.find((stat) => stat.type === type && stat.kind === kind);
  const pair = selectedPair(stats);
  const inbound = find("inbound-rtp") ?? {};
  const remote = find("remote-inbound-rtp") ?? {};
  const source = find("media-source") ?? {};
  /** @type {Counters} */
  const counters = {
    at: now,
    bytesIn: pair?.bytesReceived ?? 0,
    bytesOut: pair?.bytesSent ?? 0,
    packetsIn: inbound.packetsReceived ?? 0,
    lost: inbound.packetsLost ?? 0,
    samples: inbound.totalSamplesReceived ?? 0,
    concealed: inbound.concealedSamples ?? 0,
  };
  const windowMs = Math.max(0, Math.round(now - (before?.at ?? now)));
  /** Growth since the last time; a new connection counts from 0 again. */
  const grown = (/** @type {keyof Counters} */ name) => {
    const was = before?.[name] ?? 0;
    return counters[name] >= was ? counters[name] - was : counters[name];
  };
  const packets = grown("packetsIn") + grown("lost");
  const rttMs = seconds(pair?.currentRoundTripTime ?? remote.roundTripTime);
  const jitterMs = seconds(inbound.jitter);
  const lossPercent = packets > 0 ? (100 * grown("lost")) / packets : undefined;
  const samples = grown("samples");
  const bitrate = (/** @type {"bytesIn" | "bytesOut"} */ name) =>
    before && windowMs > 0 ? Math.round((8_000 * grown(name)) / windowMs) : undefined;
  const codec = stats.byId.get(inbound.codecId)?.mimeType?.split("/")[1];
  return {
    counters,
    sample: {
      window_ms: windowMs,
      rtt_ms: rttMs,
      jitter_ms: jitterMs,
      loss_percent: lossPercent,
      mos: packets > 0 ? opinionScore(rttMs ?? 0, jitterMs ?? 0, lossPercent ?? 0) : undefined,
      bitrate_in: bitrate("bytesIn"),
      bitrate_out: bitrate("bytesOut"),
      concealed_percent: samples > 0 ? (100 * grown("concealed")) / samples : undefined,
      level_in: inbound.audioLevel,
      level_out: source.audioLevel,
      packets_in: inbound.packetsReceived,
      pair: pathOf(stats.list),
      codec: codec?.slice(0, 32),
    },
  };
}

/** @param {number | undefined} value in seconds @returns {number | undefined} in milliseconds */
const seconds = (value) => (typeof value === "number" ? Math.round(value * 10_000) / 10 : undefined);

/**
 * 1 (bad) to 4.5: a simplified E-model (ITU-T G.107) of delay, jitter and loss.
 * @param {number} rttMs @param {number} jitterMs @param {number} lossPercent
 */
export function opinionScore(rttMs, jitterMs, lossPercent) {
  const delay = rttMs / 2 + 2 * jitterMs + 10;
  const late = delay < 160 ? delay / 40 : (delay - 120) / 10;
  const r = Math.min(100, Math.max(0, 93.2 - late - 2.5 * lossPercent));
  return Math.round(100 * (1 + 0.035 * r + 7e-6 * r * (r - 60) * (100 - r))) / 100;
}

/**
 * A mark for people.
 * @param {Sample} sample
 * @returns {"good" | "fair" | "poor" | null} null: nothing is known
 */
export function mark({ mos }) {
  if (mos === undefined) return null;
  return mos >= 4 ? "good" : mos >= 3 ? "fair" : "poor";
}
