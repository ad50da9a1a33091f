// Seen from another machine: a page by plain http says what a microphone needs (P17), and a call that fails because
// nothing gets to the relay tells the operator why.

import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { openChromium } from "./support/browser.mjs";
import { makeCertificate, trust } from "./support/certificates.mjs";
import { Daemon } from "./support/daemon.mjs";
import { OtherNetwork, inOwnNetwork, ip, nameHosts } from "./support/network.mjs";
import { Person } from "./support/phone.mjs";

inOwnNetwork(import.meta.url);

const TIMEOUT = { timeout: 150_000 };
const HOST = "turn.turnbell.test";
/** Pages come from the one, the relay is at the other. Public to the policy; this network reaches nobody. */
const [WEB, RELAY] = ["5.44.20.1", "5.44.21.1"];

let directory;
let network;
let daemon;
let browser;
before(async () => {
  directory = await mkdtemp(join(tmpdir(), "turnbell-outside-"));
  network = await OtherNetwork.cabled(["5.44.20.2/24"], [`${WEB}/24`, `${RELAY}/32`]);
  await ip(`route add default via ${WEB}`);
  await nameHosts(directory, { "127.0.0.1": "localhost", [WEB]: HOST });
  await makeCertificate(directory, [HOST]);
  await trust(join(directory, "ca.pem"), join(directory, "home/.pki/nssdb"));
  daemon = await Daemon.start({ through: network.through, config: [
    `listen = ["${RELAY}:3478"]`, `listen_tcp = ["${RELAY}:3478"]`, `relay_addresses = ["${RELAY}"]`,
    `tls.cert = "${join(directory, "cert.pem")}"`, `tls.key = "${join(directory, "key.pem")}"`,
    'listen_tls = ["0.0.0.0:443"]', 'http.listen = ["0.0.0.0:443", "0.0.0.0:80"]', 'identity.guests = "anyone"',
  ] });
  browser = await openChromium(join(directory, "home"), ["--use-fake-device-for-media-stream"]);
}, TIMEOUT);
after(async () => {
  await browser?.close();
  await daemon?.stop();
  await network?.close();
  if (directory) await rm(directory, { recursive: true, force: true });
}, TIMEOUT);

test("by plain http from another machine the page names three cures and asks for nothing", TIMEOUT, async () => {
  const visitor = await Person.arrive(browser, `http://${WEB}/`, "", { microphone: false });
  await visitor.page.getByText("Browsers give the microphone only to https pages or localhost.").waitFor();
  const said = await visitor.page.locator("tb-sign-in #cures").textContent();
  for (const cure of ["tls.cert", "Caddy", "ssh -L 8080:127.0.0.1:8080"]) assert.ok(said.includes(cure), cure);
  assert.equal(await visitor.page.getByLabel("Your name").count(), 0);
  await visitor.close();
});

test("a call that cannot get to its relay fails, both sides are told, and the record says why", TIMEOUT, async () => {
  const arrive = (name) => Person.arrive(browser, `https://${HOST}/`, name, { relayOnly: true });
  const [ann, ben] = [await arrive("Ann"), await arrive("Ben")];
  await ann.sees("Ben");
  await ann.calls("Ben");
  await ben.accepts();
  await ann.callIs("active"); // the relay is there
  await ann.hearsMore();
  await ann.hangsUp();
  await ben.callIs("none");

  await ip(`route add blackhole ${RELAY}/32`); // neither UDP nor TCP gets out to it; the page's server is reached
  await ann.calls("Ben");
  await ben.accepts();
  const id = await ann.page.evaluate(() => document.querySelector("tb-phone").call.id);
  for (const person of [ann, ben]) {
    await person.page.getByText(/No way for sound and picture was found|No sound or picture arrived in time/).waitFor({ timeout: 60_000 });
    await person.callIs("none");
  }
  const { call } = await daemon.callOnRecord(id);
  assert.equal(call.status, "FAILED");
  assert.match(call.reason, /^ice_(failed|timeout)$/);
  const told = await daemon.ask("calls", id);
  assert.match(told, /restart asked[^]*ended .*ice_(failed|timeout)/, told);
  const why = await daemon.ask("why", id);
  assert.match(why, /Neither side reached the relay: no packet with their credentials came\./, why);
  assert.match(why, /port 3478/, why);
  await ann.close();
  await ben.close();
});
