// Debian's Chromium, headless, with a fresh profile and no flag that would make the test easier.

import { networkInterfaces } from "node:os";
import { chromium } from "playwright-core";

/** A name that is no localhost, so that a page opened by it is no secure context. */
export const INSECURE_HOST = "page.turnbell.test";

/** `home`: where it finds the certificates that a user has put on trust; `more` flags. */
export function openChromium(home, more = []) {
  const onlyLoopback = Object.values(networkInterfaces()).flat().every((address) => address.internal);
  return chromium.launch({
    executablePath: process.env.CHROMIUM_BIN ?? "/usr/bin/chromium",
    chromiumSandbox: process.getuid() !== 0,
    ...(home && { env: { ...process.env, HOME: home } }),
    args: [
      "--disable-background-networking", "--disable-component-update", "--disable-sync",
      `--host-resolver-rules=MAP ${INSECURE_HOST} 127.0.0.1`,
      // Chromium gathers nothing at all where loopback is the only interface.
      ...(onlyLoopback ? ["--allow-loopback-in-peer-connection"] : []),
      ...more,
    ],
  });
}

/** A page in a context of its own, and what it complained about. */
export async function openPage(browser, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  const page = await context.newPage();
  const complaints = [];
  page.on("console", (message) => {
    if (message.type() === "error") complaints.push(`${message.text()} ${message.location().url}`);
  });
  page.on("pageerror", (error) => complaints.push(String(error)));
  await page.addInitScript(() => {
    addEventListener("securitypolicyviolation", (event) => {
      console.error(`content security policy: ${event.violatedDirective} ${event.blockedURI}`);
    });
  });
  return { page, complaints, close: () => context.close() };
}

/** The page's own knowledge, once its verdict has this code. */
export async function verdict(page, code, timeout = 30_000) {
  const reached = page.waitForFunction((wanted) => window.turnbellTest?.verdict.code === wanted, code, { timeout });
  await reached.catch(async (error) => {
    const known = await page.evaluate(() => JSON.stringify(window.turnbellTest, null, 1)).catch(() => "nothing");
    throw new Error(`no verdict ${code}: ${error.message}\nthe page knows ${known}`);
  });
  return page.evaluate(() => structuredClone(window.turnbellTest));
}
