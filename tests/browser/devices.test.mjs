// What people trip over: devices that are refused, missing, pulled out or chosen (P19), and a tab that is copied or
// taken over (P25). All in a browser that wants a tap before every sound (P18).

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { openChromium } from "./support/browser.mjs";
import { Daemon } from "./support/daemon.mjs";
import { Person, openPhoneBrowser } from "./support/phone.mjs";

const TIMEOUT = { timeout: 90_000 };
let daemon;
let phones;
let cdp;
before(async () => {
  daemon = await Daemon.start({ http: ["local_without_key = true", "[tenant.default]", "invites_per_minute = 60"] });
  phones = await openPhoneBrowser([
    "--use-fake-device-for-media-stream=device-count=2", "--autoplay-policy=document-user-activation-required",
  ]);
  cdp = await phones.browser.newBrowserCDPSession();
}, TIMEOUT);
after(async () => {
  await phones?.close();
  await daemon?.stop();
}, TIMEOUT);

const present = [];
async function arrives(name, options) {
  const person = await Person.arrive(phones.browser, daemon.url, name, options);
  present.push(person);
  return person;
}
const scene = (title, body) => test(title, TIMEOUT, async () => {
  try {
    await body();
    for (const { name, complaints } of present) assert.deepEqual(complaints, [], `complaints of ${name}`);
  } finally {
    await Promise.all(present.splice(0).map((person) => person.close()));
  }
});
let count = 0;
async function two(first, second = first) {
  count += 1;
  const [ann, ben] = [await arrives(`Ann ${count}`, first), await arrives(`Ben ${count}`, second)];
  await ann.sees(ben.name);
  await ben.sees(ann.name);
  return [ann, ben];
}
async function talk(ann, ben) {
  await ann.calls(ben.name);
  await ben.accepts();
  await Promise.all([ann.callIs("active"), ben.callIs("active")]);
}

/** What the person's browser thinks of a device from here on, as if set beside the address bar. */
async function permits(person, name, setting) {
  const session = await person.context.newCDPSession(person.page);
  const { targetInfo: { browserContextId } } = await session.send("Target.getTargetInfo");
  await cdp.send("Browser.setPermission", { permission: { name }, setting, origin: daemon.url, browserContextId });
  await session.detach();
}
const notice = (person) => person.page.locator("tb-phone .notice");
const stageSays = (person, words) => person.page.locator("tb-active-call #notices").getByText(words).waitFor();

scene("a microphone that the browser denies keeps the call from ringing, and names the cure", async () => {
  const [ann, ben] = await two();
  await permits(ann, "microphone", "denied");
  await ann.calls(ben.name);
  await notice(ann).getByText("The browser did not allow the microphone.").waitFor();
  await notice(ann).getByText("Allow it in the address bar, then try again.").waitFor();
  assert.equal(await ben.incoming().count(), 0);
  await permits(ann, "microphone", "granted");
  await talk(ann, ben);
  await ben.hearsMore();
});

scene("every other refusal of a device has its sentence, its cure and a way on", async () => {
  const [ann, ben] = await two({ init: () => {
    const real = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
    navigator.mediaDevices.getUserMedia = (wanted) => {
      const [name, kind] = globalThis.refuse ?? [];
      return kind in wanted ? Promise.reject(new DOMException("no", name)) : real(wanted);
    };
  } });
  for (const [name, kind, sentence, cure, on] of [
    ["NotReadableError", "audio", "Another program is using the microphone.", "Close that program, then try again.", "Call without microphone"],
    ["OverconstrainedError", "audio", "The chosen microphone cannot be used.", "Choose another one.", "Call without microphone"],
    ["NotFoundError", "video", "There is no camera on this device.", "Plug one in, or go on without it.", "Call without camera"],
    ["NotAllowedError", "video", "The browser did not allow the camera.", "Allow it in the address bar, then try again.", "Call without camera"],
    ["NotReadableError", "video", "Another program is using the camera.", "Close that program, then try again.", "Call without camera"],
    ["OverconstrainedError", "video", "The chosen camera cannot be used.", "Choose another one.", "Call without camera"],
  ]) {
    await ann.page.evaluate((refused) => (globalThis.refuse = refused), [name, kind]);
    await ann.calls(ben.name, true);
    await notice(ann).getByText(sentence).waitFor();
    await notice(ann).getByText(cure).waitFor();
    assert.equal(await ben.incoming().count(), 0, name);
    await notice(ann).getByRole("button", { name: on }).waitFor();
  }
  await notice(ann).getByRole("button", { name: "Call without camera" }).click();
  await ben.accepts();
  await ann.callIs("active");
  await ben.hearsMore();
});

test("without a microphone on the machine one can call, and hear", TIMEOUT, async () => {
  const bare = await openChromium();
  try {
    const ann = await Person.arrive(bare, daemon.url, "Ann Bare");
    const ben = await arrives("Ben Bare");
    await ann.sees(ben.name);
    await ann.calls(ben.name);
    await notice(ann).getByText("There is no microphone on this device.").waitFor();
    await notice(ann).getByText("Plug one in, or join without one.").waitFor();
    await notice(ann).getByRole("button", { name: "Call without microphone" }).click();
    await ben.accepts();
    await ann.callIs("active");
    await ann.hearsMore();
    await ben.page.getByText("Ann Bare is muted").waitFor();
    await ann.page.reload(); // no question is asked: it goes on as it was
    await ann.callIs("active");
    await ann.hearsMore();
    assert.deepEqual(ann.complaints, []);
  } finally {
    await bare.close();
    await Promise.all(present.splice(0).map((person) => person.close()));
  }
});

scene("a microphone that is taken away in a call is told on both sides, and turned on again", async () => {
  const [ann, ben] = await two();
  await talk(ann, ben);
  await ben.hearsMore();
  await permits(ann, "microphone", "denied");
  await stageSays(ann, "The browser did not allow the microphone. The call goes on without.");
  await ben.page.getByText(`${ann.name} is muted`).waitFor();
  await ben.hearsNothing();
  await permits(ann, "microphone", "granted");
  await ann.control("Microphone on").click();
  await ben.hearsMore();
  await ben.page.getByText(`${ann.name} is muted`).waitFor({ state: "hidden" });
  await ann.control("Mute").waitFor();
});

scene("a microphone that is unplugged is replaced by another one, and the other side hears on", async () => {
  const [ann, ben] = await two();
  await talk(ann, ben);
  await ann.page.evaluate(() => {
    const { audio } = document.querySelector("tb-phone").call.local;
    audio.stop();
    audio.dispatchEvent(new Event("ended")); // no flag of the browser pulls a plug
  });
  await stageSays(ann, "The microphone was unplugged. Another one is in use.");
  await ben.hearsMore();
});

scene("devices that are chosen in the test are those of the next call, and may be changed in it", async () => {
  const [ann, ben] = await two();
  const inUse = () => ann.page.evaluate(() => {
    const { local } = document.querySelector("tb-phone").call;
    const stage = document.querySelector("tb-phone").shadowRoot.querySelector("tb-active-call").shadowRoot;
    return [local.audio?.label, local.camera?.label, stage.getElementById("sound").sinkId];
  });
  await ann.page.getByRole("button", { name: "Start the test" }).click();
  await ann.page.getByText("We hear you.").waitFor();
  await ann.page.getByLabel("Microphone", { exact: true }).selectOption({ label: "Fake Audio Input 2" });
  await ann.page.getByLabel("Camera", { exact: true }).selectOption({ label: "fake_device_1" });
  const speaker = await ann.page.getByLabel("Speaker", { exact: true }).selectOption({ label: "Fake Audio Output 2" });
  await ann.page.reload();
  await ann.sees(ben.name);
  await ann.calls(ben.name, true);
  await ben.accepts();
  await ann.callIs("active");
  await ann.until(async () => (await inUse())[2] === speaker[0], "its speaker");
  assert.deepEqual((await inUse()).slice(0, 2), ["Fake Audio Input 2", "fake_device_1"]);
  await ben.hearsMore();

  await ann.control("Devices").click();
  await ann.page.getByLabel("Microphone", { exact: true }).selectOption({ label: "Fake Audio Input 1" });
  await ann.page.getByLabel("Camera", { exact: true }).selectOption({ label: "fake_device_0" });
  await ann.until(async () => JSON.stringify((await inUse()).slice(0, 2)) === '["Fake Audio Input 1","fake_device_0"]', "the others");
  await ben.hearsMore();
  await ann.page.keyboard.press("Escape");
  assert.equal(await ann.control("Devices").getAttribute("aria-expanded"), "false");
  await ann.hangsUp();
  await ben.callIs("none");
  await talk(ann, ben);
  assert.equal((await inUse())[0], "Fake Audio Input 1");
});

scene("who was muted before a reload is muted after it", async () => {
  const [ann, ben] = await two();
  await talk(ann, ben);
  await ann.control("Mute").click();
  await ann.page.reload();
  await ann.callIs("active");
  await ben.callIs("active");
  await ann.control("Unmute").waitFor();
  await ben.page.getByText(`${ann.name} is muted`).waitFor();
  await ben.hearsNothing();
  await ann.control("Unmute").click();
  await ben.hearsMore();
});

scene("a copied tab is a session of its own: both are online, and both ring", async () => {
  const [ann, ben] = await two();
  const session = ({ page }) => page.evaluate(() => JSON.parse(sessionStorage.getItem(
    Object.keys(sessionStorage).find((name) => name.startsWith("turnbell:session:")))).session);
  const opened = ben.context.waitForEvent("page");
  await ben.page.evaluate(() => void window.open(location.href)); // takes the tab's storage along, as Duplicate does
  const copy = await opened;
  await copy.locator("tb-dialer li").filter({ hasText: ann.name }).waitFor();
  await copy.waitForFunction(() => document.querySelector("tb-phone").line.state === "online");
  assert.notEqual(await session({ page: copy }), await session(ben));
  assert.equal(await ben.page.evaluate(() => document.querySelector("tb-phone").line.state), "online");
  await ann.calls(ben.name);
  await ben.incoming().waitFor();
  await copy.getByRole("alertdialog").waitFor();
});

for (const [code, how, said] of [
  [4009, takeOver, "This session goes on in another page."],
  [4003, (person, user) => daemon.ask("revoke", user), "The operator of this server ended this session."],
]) {
  scene(`a page that is closed with ${code} says why and does not come back by itself`, async () => {
    count += 1;
    const ben = await arrives(`Ben ${count}`, { init: () => {
      globalThis.sockets = [];
      const Plain = globalThis.WebSocket;
      globalThis.WebSocket = class extends Plain {
        constructor(...given) {
          super(...given);
          globalThis.sockets.push(0);
          this.addEventListener("close", ({ code }) => (globalThis.sockets[globalThis.sockets.length - 1] = code));
        }
      };
    } });
    await ben.page.waitForFunction(() => document.querySelector("tb-phone").line?.state === "online");
    await how(ben, await ben.page.evaluate(() => document.querySelector("tb-phone").line.user));
    await ben.page.getByText(said).waitFor();
    // What would bring a lost line back at once.
    await ben.page.evaluate(() => ["online", "pageshow"].forEach((name) => dispatchEvent(new Event(name))));
    await ben.page.waitForTimeout(2_000);
    assert.deepEqual(await ben.page.evaluate(() => globalThis.sockets), [code]);
  });
}

/** Somebody else resumes the session of this page. */
async function takeOver(person) {
  await person.page.evaluate(async () => {
    const key = Object.keys(sessionStorage).find((name) => name.startsWith("turnbell:session:"));
    const { token: resume } = JSON.parse(sessionStorage.getItem(key));
    const account = Object.keys(localStorage).find((name) => name.startsWith("turnbell:account:"));
    const { token } = JSON.parse(localStorage.getItem(account));
    const frame = document.createElement("iframe"); // its sockets are not counted
    document.body.append(frame);
    const socket = new frame.contentWindow.WebSocket(new URL("v1/ws", location.href).href.replace(/^http/, "ws"), ["turnbell.v1"]);
    const device = { id: localStorage.getItem("turnbell:device"), kind: "browser", label: "another" };
    const hello = { t: "hello", d: { token, device, caps: [], resume: { token: resume, last_seq: 0 } } };
    socket.onopen = () => socket.send(JSON.stringify(hello));
    return new Promise((resolve) => (socket.onmessage = ({ data }) => resolve(data)));
  });
}
