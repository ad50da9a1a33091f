// One side of a call inside a page, of any browser: `install` runs there and leaves `window.parties`.

/** Self-contained: it is sent to the page as text. */
export function install() {
  const parties = new Map();
  const WAIT_MS = 60_000;

  /** Asks `found` until it says something, for as long as a loaded machine may need. */
  async function until(found, what) {
    const late = performance.now() + WAIT_MS;
    for (;;) {
      const value = await found();
      if (value) return value;
      if (performance.now() > late) throw new Error(`${what()} after ${WAIT_MS / 1000} s`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  /** A picture that moves and a tone: no permission, no flag. */
  function media() {
    const canvas = Object.assign(document.createElement("canvas"), { width: 320, height: 240 });
    const paint = canvas.getContext("2d");
    let frame = 0;
    const timer = setInterval(() => {
      paint.fillStyle = `hsl(${(frame += 7)} 80% 50%)`;
      paint.fillRect(frame % 320, 0, 80, 240);
    }, 50);
    const audio = new AudioContext();
    const tone = audio.createOscillator();
    const out = audio.createMediaStreamDestination();
    tone.connect(out);
    tone.start();
    const stream = new MediaStream([...canvas.captureStream(20).getTracks(), ...out.stream.getTracks()]);
    return { stream, end: () => (clearInterval(timer), audio.close()) };
  }

  async function localDescription({ pc, errors }) {
    await pc.setLocalDescription();
    await until(() => pc.iceGatheringState === "complete", () => `gathering ${pc.iceGatheringState}, ${errors}`);
    return pc.localDescription.sdp;
  }

  window.parties = {
    /** Makes a party with this RTCConfiguration. */
    open(name, configuration) {
      const pc = new RTCPeerConnection(configuration);
      const sent = media();
      for (const track of sent.stream.getTracks()) pc.addTrack(track, sent.stream);
      const channel = pc.createDataChannel("both", { negotiated: true, id: 0 });
      channel.binaryType = "arraybuffer";
      const party = { pc, channel, media: sent, errors: [], heard: [], echoes: false, players: [] };
      channel.onmessage = ({ data }) => (party.echoes ? channel.send(data) : party.heard.push(data));
      pc.onicecandidateerror = ({ errorCode, errorText, url }) => party.errors.push(`${errorCode} ${errorText} ${url}`);
      pc.ontrack = ({ track }) => {
        const player = document.createElement("video");
        Object.assign(player, { muted: true, srcObject: new MediaStream([track]) }).play().catch(() => {});
        party.players.push(player);
      };
      parties.set(name, party);
    },

    offer: (name) => localDescription(parties.get(name)),

    async answer(name, sdp) {
      const party = parties.get(name);
      party.echoes = true;
      await party.pc.setRemoteDescription({ type: "offer", sdp });
      return localDescription(party);
    },

    accept: (name, sdp) => parties.get(name).pc.setRemoteDescription({ type: "answer", sdp }),

    connected: (name) => {
      const { pc, channel, errors } = parties.get(name);
      const state = () => `${name} is ${pc.connectionState}, ICE ${pc.iceConnectionState}, ${channel.readyState}; ${errors}`;
      return until(() => {
        if (pc.connectionState === "failed") throw new Error(state());
        return pc.connectionState === "connected" && channel.readyState === "open";
      }, state);
    },

    /** Sends messages of these lengths to the other side, which echoes; true if all come back whole. */
    async roundTrip(name, lengths) {
      const { channel, heard } = parties.get(name);
      heard.length = 0;
      const messages = lengths.map((length, seed) => Uint8Array.from({ length }, (_, at) => (at * 31 + seed) & 255));
      for (const message of messages) channel.send(message);
      await until(() => heard.length === messages.length, () => `${heard.length} of ${messages.length} echoes`);
      return messages.every((message, at) => {
        const echo = new Uint8Array(heard[at]);
        return echo.length === message.length && echo.every((byte, where) => byte === message[where]);
      });
    },

    /** What the browser says of the path in use and of the media that came. */
    async facts(name) {
      const stats = [...(await parties.get(name).pc.getStats()).values()];
      const byId = new Map(stats.map((one) => [one.id, one]));
      const selected = stats.find(({ type }) => type === "transport")?.selectedCandidatePairId;
      const pair = byId.get(selected)
        ?? stats.find((one) => one.type === "candidate-pair" && one.selected)
        ?? stats.find((one) => one.type === "candidate-pair" && one.nominated && one.state === "succeeded");
      const end = ({ candidateType, protocol, relayProtocol, address, url } = {}) =>
        ({ candidateType, protocol, relayProtocol, address, url });
      // Both ways need not take one pair: with an allocation per interface, the other side may send on another.
      const pairs = stats.filter(({ type, state }) => type === "candidate-pair" && state === "succeeded");
      const all = (key) => pairs.reduce((sum, one) => sum + (one[key] ?? 0), 0);
      const inbound = (kind) => stats.find((one) => one.type === "inbound-rtp" && one.kind === kind) ?? {};
      return {
        local: end(byId.get(pair?.localCandidateId)),
        remote: end(byId.get(pair?.remoteCandidateId)),
        bytesSent: all("bytesSent"),
        bytesReceived: all("bytesReceived"),
        frames: inbound("video").framesDecoded ?? 0,
        audioBytes: inbound("audio").bytesReceived ?? 0,
      };
    },

    /** Waits until pictures, sound and bytes of both directions go on arriving; says what they came to. */
    async mediaGrows(name) {
      const before = await this.facts(name);
      let now;
      await until(async () => {
        now = await this.facts(name);
        return now.frames >= before.frames + 10 && now.audioBytes > before.audioBytes + 500
          && now.bytesSent > before.bytesSent + 1_000 && now.bytesReceived > before.bytesReceived + 1_000;
      }, () => `${name} came from ${JSON.stringify(before)} to ${JSON.stringify(now)}`);
      return now;
    },

    close(name) {
      const party = parties.get(name);
      if (!party) return;
      parties.delete(name);
      party.pc.close();
      party.media.end();
    },
  };
}
