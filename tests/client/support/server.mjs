// A server that speaks `turnbell.v1` as far as a test says: frames go in, the test decides what comes out.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { WebSocketServer } from "ws";

import { Conversation } from "./schema.mjs";

export class FakeServer {
  /** Every connection so far, in order. */
  sockets = [];
  /** All frames of all connections. */
  frames = [];
  /** What an upgrade gets in place of a socket: an HTTP status. */
  refuseUpgrade = 0;
  /** Answers to `hello`; a function of the hello's `d` and the number of the connection, from 0. */
  welcome = (_hello, number) => ({ session: SESSION, resume_token: `r${number + 1}`, resumed: number > 0, next_seq: 1 });
  /** Answers to requests by type: an object for `d`, or an Error with `code`; undefined: no answer. */
  answers = {};
  /** What was said against the schema on any connection, in either direction; none may be left at the end. */
  faults = [];
  #waiting = [];

  static async start() {
    const server = new FakeServer();
    server.http = createServer((_, response) => {
      response.writeHead(426, { "Content-Type": "application/json" });
      response.end(JSON.stringify({ error: { code: "upgrade_required", message: "this path is a WebSocket" } }));
    });
    const upgrades = new WebSocketServer({ noServer: true, handleProtocols: () => "turnbell.v1" });
    server.http.on("upgrade", (request, socket, head) => {
      if (server.refuseUpgrade) return socket.end(`HTTP/1.1 ${server.refuseUpgrade} no\r\nContent-Length: 0\r\n\r\n`);
      upgrades.handleUpgrade(request, socket, head, (ws) => server.#accept(ws));
    });
    server.http.listen(0, "127.0.0.1");
    await once(server.http, "listening");
    server.url = `http://127.0.0.1:${server.http.address().port}/`;
    return server;
  }

  #accept(ws) {
    const number = this.sockets.push(ws) - 1;
    const said = new Conversation();
    said.faults = this.faults;
    ws.tell = (frame) => {
      const text = JSON.stringify(frame);
      said.toClient(JSON.parse(text));
      ws.send(text);
    };
    ws.on("message", (text) => {
      said.toServer(JSON.parse(text));
      const frame = { ...JSON.parse(text), socket: number };
      this.frames.push(frame);
      this.#answer(ws, frame, number);
      this.#waiting = this.#waiting.filter((look) => !look());
    });
    ws.on("close", () => (this.#waiting = this.#waiting.filter((look) => !look())));
  }

  #answer(ws, { t, id, d }, number) {
    if (t === "hello") {
      const welcome = this.welcome(d, number);
      if (!welcome) return;
      ws.tell({ t: "welcome", d: {
        user: "alice", name: "Alice", tenant: "default", features: { voice: true, turn: true },
        server_time: 1_795_000_000_000, ice: ICE, ...welcome,
      } });
      return;
    }
    const answer = this.answers[t];
    const said = typeof answer === "function" ? answer(d, id) : answer;
    if (said instanceof Error) ws.tell({ t: "error", re: id, d: { code: said.code, message: said.message } });
    else if (said !== undefined) ws.tell({ t: "ok", re: id, d: said });
  }

  /** An event on the newest connection. */
  event(seq, t, d) {
    this.sockets.at(-1).tell({ t, seq, ts: 1_795_000_000_000, d });
  }

  /** The first frame (from now or before) that `is` holds for. */
  frame(is, what = String(is)) {
    return this.until(() => this.frames.find(is), what);
  }

  until(found, what) {
    return new Promise((resolve, reject) => {
      const late = setTimeout(() => reject(new Error(`never: ${what}; got ${JSON.stringify(this.frames)}`)), 20_000);
      const look = () => {
        const value = found();
        if (value === undefined || value === false) return false;
        clearTimeout(late);
        resolve(value);
        return true;
      };
      if (!look()) this.#waiting.push(look);
    });
  }

  async stop() {
    for (const socket of this.sockets) socket.terminate();
    this.http.closeAllConnections();
    this.http.close();
    await once(this.http, "close");
    assert.deepEqual(this.faults, []);
  }
}

/** A session, and another one. */
export const [SESSION, OTHER_SESSION] = ["01ARYZ6S41000000000000000A", "01ARYZ6S41000000000000000B"];

/** An ICE config without servers. */
export const ICE = { iceServers: [], iceTransportPolicy: "all", ttl: 3600, expires_at: 1_795_003_600, refresh_after: 2880 };

export const of = (t) => (frame) => frame.t === t;

/** A refusal. */
export const refusal = (code) => Object.assign(new Error(code), { code });
