// One URL: what does the browser get from it, and does a call through it work?

const GATHER_MS = 8_000; // without a candidate for so long: nothing will come that people wait for
const CONNECT_MS = 6_000;
const PINGS = 20;
const PING_EVERY_MS = 60;
const PACKETS = 200; // unreliable messages for the loss
const PACKET_BYTES = 200;
const PACKET_EVERY_MS = 5;
const RATE_MS = 1_500; // how long the throughput is measured at most
const RATE_REST_MS = 300; // how long what is on the way may take
const SMALL_BYTES = 200_000; // of a call through two relays: handshake, pings, packets
const OVERHEAD = 1.2; // of SCTP, DTLS and acknowledgements
const CHUNK_BYTES = 8 * 1024;
const BUFFERED_MAX = 256 * 1024;

const pause = (ms, signal) => new Promise((resolve, reject) => {
  const timer = setTimeout(resolve, ms);
  signal.addEventListener("abort", () => { clearTimeout(timer); reject(signal.reason); }, { once: true });
});

const within = (promise, ms, signal) => Promise.race([promise, pause(ms, signal).then(() => undefined)]);

const address = ({ address: host, port }) => (host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`);

/** What came of one STUN URL: `{url, mapped?, errors, gathered_ms?}`. */
export async function tryStun(server, signal, onError) {
  const found = { url: server.urls[0], errors: [] };
  const [peer] = connections(1, { iceServers: [server] }, found);
  if (!peer) return found;
  try {
    collectErrors(peer, found, onError);
    const began = performance.now();
    const mapped = new Promise((resolve) => {
      peer.addEventListener("icecandidate", ({ candidate }) => {
        if (candidate?.type === "srflx" && candidate.address) resolve(address(candidate));
        // Where the server sees the page at its own address, there is no candidate of its own for it.
        if (candidate === null) {
          found.gathered_ms = Math.round(performance.now() - began);
          resolve(undefined);
        }
      });
    });
    peer.createDataChannel("probe");
    await peer.setLocalDescription();
    found.mapped = await within(mapped, GATHER_MS, signal);
    return found;
  } finally {
    peer.close();
  }
}

/** What came of one TURN URL: `{url, relayed?, mapped?, errors, gathered_ms?, call?}`; `bytesMax`: of both its relays together. */
export async function tryTurn(server, signal, onError, bytesMax) {
  const config = { iceServers: [server], iceTransportPolicy: "relay" };
  const found = { url: server.urls[0], errors: [] };
  const [near, far] = connections(2, config, found);
  if (!far) return found;
  try {
    collectErrors(near, found, onError);
    const began = performance.now();
    const relay = new Promise((resolve) => {
      near.addEventListener("icecandidate", ({ candidate }) => {
        if (candidate?.type === "relay") resolve(candidate);
        if (candidate === null) {
          found.gathered_ms = Math.round(performance.now() - began);
          resolve(null);
        }
      });
    });
    const channels = callEachOther(near, far);
    // Whoever gets no relay is not waited for any longer than for this.
    channels.catch(() => undefined);
    const candidate = await within(relay, GATHER_MS, signal);
    if (!candidate) return found;
    found.relayed = address(candidate);
    if (candidate.relatedAddress && candidate.relatedAddress !== "0.0.0.0" && candidate.relatedPort > 0) {
      const related = address({ address: candidate.relatedAddress, port: candidate.relatedPort });
      // Firefox names the relay once more.
      if (related !== found.relayed) found.mapped = related;
    }
    const open = await within(channels, CONNECT_MS, signal);
    found.call = open ? await measure(open, signal, (bytesMax / 2 - SMALL_BYTES) / OVERHEAD) : { connected: false };
    return found;
  } finally {
    near.close();
    far.close();
  }
}

/** Connections that may use one URL; none if the browser does not take it: some ports are blocked. */
function connections(count, config, found) {
  try {
    return Array.from({ length: count }, () => new RTCPeerConnection(config));
  } catch ({ message }) {
    found.errors.push({ code: 0, text: message });
    return [];
  }
}

function collectErrors(peer, found, onError) {
  peer.addEventListener("icecandidateerror", ({ errorCode, errorText }) => {
    const said = errorText ?? "";
    if (found.errors.some(({ code, text }) => code === errorCode && text === said)) return;
    found.errors.push({ code: errorCode, text: said });
    onError?.();
  });
}

/** Both ends of an unreliable channel, once it is open. */
async function callEachOther(near, far) {
  const channel = near.createDataChannel("probe", { ordered: false, maxRetransmits: 0 });
  channel.binaryType = "arraybuffer";
  const other = new Promise((resolve) => far.addEventListener("datachannel", (event) => resolve(event.channel)));
  const opened = new Promise((resolve) => channel.addEventListener("open", resolve, { once: true }));
  const waiting = { near: [], far: [] };
  const add = async (peer, queue, { candidate }) => {
    if (!candidate) return;
    if (peer.remoteDescription) await peer.addIceCandidate(candidate);
    else queue.push(candidate);
  };
  near.addEventListener("icecandidate", (event) => add(far, waiting.far, event));
  far.addEventListener("icecandidate", (event) => add(near, waiting.near, event));
  await near.setLocalDescription();
  await far.setRemoteDescription(near.localDescription);
  await far.setLocalDescription();
  await near.setRemoteDescription(far.localDescription);
  for (const candidate of waiting.far.splice(0)) await far.addIceCandidate(candidate);
  for (const candidate of waiting.near.splice(0)) await near.addIceCandidate(candidate);
  await opened;
  const remote = await other;
  remote.binaryType = "arraybuffer";
  return { channel, remote };
}

/** Round trip, loss and throughput of an open channel, the last with so many bytes at most. */
async function measure({ channel, remote }, signal, bytesMax) {
  const call = { connected: true, sent: 0, received: 0 };
  const trips = [];
  let [bytes, lastAt] = [0, 0];
  // The far end sends pings back and counts the rest.
  remote.onmessage = ({ data }) => {
    if (typeof data === "string") {
      if (remote.readyState === "open") remote.send(data);
    } else if (data.byteLength === PACKET_BYTES) call.received += 1;
    else [bytes, lastAt] = [bytes + data.byteLength, performance.now()];
  };
  channel.onmessage = ({ data }) => trips.push(performance.now() - Number(data));
  for (let n = 0; n < PINGS; n += 1) {
    channel.send(String(performance.now()));
    await pause(PING_EVERY_MS, signal);
  }
  const packet = new Uint8Array(PACKET_BYTES);
  for (; call.sent < PACKETS; call.sent += 1) {
    channel.send(packet);
    if (call.sent % 4 === 3) await pause(PACKET_EVERY_MS * 4, signal);
  }
  await pause(400, signal); // what is still on the way
  const chunk = new Uint8Array(CHUNK_BYTES);
  const began = performance.now();
  let left = Math.floor(bytesMax / CHUNK_BYTES);
  const isLate = (at) => performance.now() - at >= RATE_MS;
  while (left > 0 && !isLate(began)) {
    for (; left > 0 && channel.bufferedAmount < BUFFERED_MAX; left -= 1) channel.send(chunk);
    await pause(10, signal);
  }
  const sentAt = performance.now();
  while (channel.bufferedAmount > 0 && !isLate(sentAt)) await pause(10, signal);
  await pause(RATE_REST_MS, signal);
  if (bytes > 0) call.kbit_s = Math.round((bytes * 8) / Math.max(lastAt - began, 1));
  trips.sort((a, b) => a - b);
  if (trips.length > 0) call.rtt_ms = Math.round(trips[Math.floor(trips.length / 2)] * 10) / 10;
  return call;
}
