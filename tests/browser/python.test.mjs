// A client in Python (websockets and aiortc) and the phone in Chromium call each other, relayed: P22.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { access } from "node:fs/promises";
import { createInterface } from "node:readline";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";

import { Conversation } from "../client/support/schema.mjs";
import { Daemon } from "./support/daemon.mjs";
import { Person, TONE_HZ, openPhoneBrowser } from "./support/phone.mjs";

const TIMEOUT = { timeout: 90_000 };
const PATIENCE_MS = 30_000;
const INTEROP = fileURLToPath(new URL("../interop/", import.meta.url));
let daemon;
let phones;
before(async () => {
  daemon = await Daemon.start();
  phones = await openPhoneBrowser();
}, TIMEOUT);
after(async () => {
  await phones?.close();
  await daemon?.stop();
}, TIMEOUT);

/** The Python client; its frames are held against the schema. */
class Client {
  said = new Conversation();
  #lines = [];
  #wake = () => {};

  static async start(...words) {
    const python = `${INTEROP}venv/bin/python`;
    await access(python).catch(() => assert.fail(`${python} is missing; scripts/test makes it`));
    const client = new Client();
    client.child = spawn(python, [`${INTEROP}turnbell_client.py`, daemon.url, ...words], { stdio: ["pipe", "pipe", "pipe"] });
    client.errors = "";
    client.child.stderr.setEncoding("utf8").on("data", (text) => (client.errors += text));
    client.ended = new Promise((resolve) => client.child.once("exit", (code, signal) => resolve(code ?? signal)));
    createInterface({ input: client.child.stdout }).on("line", (line) => client.#take(line));
    client.ended.then(() => client.#wake());
    return client;
  }

  #take(line) {
    const frame = /^[<>] /.test(line) ? JSON.parse(line.slice(2)) : null;
    if (line.startsWith(">")) this.said.toServer(frame);
    else if (line.startsWith("<")) this.said.toClient(frame);
    else this.#lines.push(line);
    this.log = [...(this.log ?? []), line.slice(0, 300)];
    this.#wake();
  }

  /** The rest of the first line that starts so; those before it are passed over. */
  async says(start) {
    let isLate = false;
    const late = setTimeout(() => ((isLate = true), this.#wake()), PATIENCE_MS);
    try {
      for (;;) {
        const at = this.#lines.findIndex((line) => line.startsWith(start));
        if (at >= 0) return this.#lines.splice(0, at + 1).at(-1).slice(start.length).trim();
        if (isLate || this.child.exitCode !== null) assert.fail(`never said ${start}: \n${this.log.join("\n")}\n${this.errors}`);
        await new Promise((resolve) => (this.#wake = resolve));
      }
    } finally {
      clearTimeout(late);
    }
  }

  hangUp() {
    this.child.stdin.write("\n");
  }

  async leaves() {
    await this.says("call ended");
    this.child.stdin.end();
    assert.equal(await this.ended, 0, this.errors);
    assert.deepEqual(this.said.faults, []);
  }
}

/** They hear each other's tone, and both ways are relayed. */
async function hearEachOther(client, person) {
  await client.says("call active");
  await person.callIs("active");
  await person.hearsMore();
  // A second in which sound was late on a busy machine has gaps that were filled, and another pitch.
  const late = Date.now() + PATIENCE_MS;
  for (;;) {
    const hertz = Number(await client.says("hears"));
    if (Math.abs(hertz - TONE_HZ) < 30) break;
    assert.ok(Date.now() < late, `${hertz} Hz`);
  }
  const { local, remote } = await person.hears();
  assert.deepEqual([local, remote], ["relay", "relay"]);
}

async function relayedBytes(person) {
  let bytes;
  await person.until(async () => {
    const { items: [call] } = await person.page.evaluate(async () => {
      const { token } = JSON.parse(localStorage.getItem(`turnbell:account:${location.origin}/`));
      return (await fetch("v1/calls?limit=1", { headers: { Authorization: `Bearer ${token}` } })).json();
    });
    bytes = call.relay_bytes;
    return bytes !== null;
  }, "the relayed bytes on record");
  return bytes;
}

test("Python calls Chromium, both hear the other's tone through the relay, Python hangs up", TIMEOUT, async () => {
  const person = await Person.arrive(phones.browser, daemon.url, "Alice", { relayOnly: true });
  await person.isOnline;
  const user = await person.page.evaluate(() => document.querySelector("tb-phone").line.user);
  const client = await Client.start("Monty", "call", user);
  try {
    await person.incoming().waitFor();
    await person.accepts();
    await hearEachOther(client, person);
    client.hangUp();
    await person.callIs("none");
    await client.leaves();
    assert.ok((await relayedBytes(person)) > 20_000);
    assert.deepEqual(person.complaints, []);
  } finally {
    client.child.kill();
    await person.close();
  }
});

test("Chromium calls Python, both hear the other's tone through the relay, Chromium hangs up", TIMEOUT, async () => {
  const client = await Client.start("Terry", "answer");
  const person = await Person.arrive(phones.browser, daemon.url, "Alice", { relayOnly: true });
  try {
    await client.says("user");
    await person.sees("Terry");
    await person.calls("Terry");
    await hearEachOther(client, person);
    await person.hangsUp();
    await client.leaves();
    assert.deepEqual(person.complaints, []);
  } finally {
    client.child.kill();
    await person.close();
  }
});
