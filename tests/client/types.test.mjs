// The types: the sources keep their word, and the committed .d.ts are what the sources say.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readFile, readdir, rm, symlink, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";
import { promisify } from "node:util";

const run = promisify(execFile);
const HERE = fileURLToPath(new URL(".", import.meta.url));
const CLIENT = fileURLToPath(new URL("../../src/web/client/", import.meta.url));
const TSC = createRequire(import.meta.url).resolve("typescript/bin/tsc");
const TIMEOUT = { timeout: 120_000 };

async function inDirectory(body) {
  const directory = await mkdtemp(join(tmpdir(), "turnbell-types-"));
  try {
    return await body(directory);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

const STRICT = ["--strict", "--noEmit", "--target", "es2022", "--module", "es2022", "--moduleResolution", "bundler"];

/** As `npm install` of what `npm pack` makes leaves it in `directory`. */
async function pack(directory) {
  const { stdout } = await run("npm", ["pack", "--json", "--pack-destination", directory], { cwd: CLIENT });
  const [{ filename }] = JSON.parse(stdout);
  const home = join(directory, "node_modules/turnbell");
  await mkdir(home, { recursive: true });
  await run("tar", ["xzf", join(directory, filename), "--strip-components=1", "-C", home]);
  await writeFile(join(directory, "package.json"), '{"type":"module"}');
}

const tsc = (args, cwd) => run(process.execPath, [TSC, ...args], { cwd })
  .catch(({ stdout }) => assert.fail(stdout));

test("tsc finds nothing, and the committed types are what it makes (npm run types makes them)", TIMEOUT, () =>
  inDirectory(async (directory) => {
    await tsc(["-p", CLIENT, "--outDir", directory]);
    const files = async (of) => (await readdir(of, { recursive: true })).filter((name) => name.endsWith(".d.ts")).sort();
    const committed = join(CLIENT, "types");
    assert.deepEqual(await files(committed), await files(directory));
    for (const name of await files(directory)) {
      assert.equal(await readFile(join(committed, name), "utf8"), await readFile(join(directory, name), "utf8"), name);
    }
  }));

test("npm pack holds a package that imports, and that TypeScript knows", TIMEOUT, () =>
  inDirectory(async (directory) => {
    await pack(directory);
    await writeFile(join(directory, "app.mjs"), 'export * from "turnbell";\n');
    const library = await import(pathToFileURL(join(directory, "app.mjs")).href);
    assert.equal(typeof library.connect, "function");
    await writeFile(join(directory, "app.ts"), [
      'import { connect, TurnbellError } from "turnbell";',
      'const line = connect({ token: "T", server: "https://turn.example.org" });',
      'line.on("incoming", (call) => call.accept({ video: false }));',
      'const name: Promise<string> = line.call("bob").then((call) => call.peer.name);',
      "name.catch((error: TurnbellError) => error.cure);",
      "",
    ].join("\n"));
    await tsc([...STRICT, "app.ts"], directory);
    await writeFile(join(directory, "app.ts"), 'import { connect } from "turnbell";\nconnect({ tokn: "T" });\n');
    await assert.rejects(run(process.execPath, [TSC, ...STRICT, "app.ts"], { cwd: directory }),
      ({ stdout }) => /tokn/.test(stdout), "types are looked at");
  }));

test("the README's React hook keeps its types, and it goes into a bundle with the library", TIMEOUT, () =>
  inDirectory(async (directory) => {
    await pack(directory);
    const readme = await readFile(new URL("../../README.md", import.meta.url), "utf8");
    const [, example] = /```tsx\n([^]*?)```/.exec(readme);
    const [hook, phone] = [/function useCalls[^]*?\n}\n/, /export function Phone[^]*?\n}\n/].map((part) => part.exec(example)[0]);
    assert.ok((hook + phone).split("\n").length <= 36, "a hook and a component");
    for (const name of ["react", "@types", "csstype"]) {
      await symlink(join(HERE, "node_modules", name), join(directory, "node_modules", name));
    }
    await writeFile(join(directory, "phone.tsx"), example);
    const options = [...STRICT, "--jsx", "react-jsx", "--preserveSymlinks"];
    await tsc([...options, "phone.tsx"], directory);
    await writeFile(join(directory, "wrong.tsx"), example.replace("call.peer.name", "call.peer.nmae"));
    await assert.rejects(run(process.execPath, [TSC, ...options, "wrong.tsx"], { cwd: directory }),
      ({ stdout }) => /nmae/.test(stdout), "types are looked at");

    const { build } = await import("esbuild");
    await writeFile(join(directory, "app.js"), [
      'import { createElement } from "react";',
      'import { Phone } from "./phone.tsx";',
      'export { connect } from "turnbell";',
      "export { Phone };",
      'export const element = createElement(Phone, { server: "https://turn.example.org", friend: "bob" });',
      "",
    ].join("\n"));
    const { warnings } = await build({
      absWorkingDir: directory, entryPoints: ["app.js"], outfile: join(directory, "bundle.mjs"),
      bundle: true, format: "esm", jsx: "automatic", preserveSymlinks: true, logLevel: "silent",
    });
    assert.deepEqual(warnings, []);
    const bundle = await import(pathToFileURL(join(directory, "bundle.mjs")).href);
    assert.equal(typeof bundle.connect, "function");
    assert.equal(bundle.element.type, bundle.Phone);
  }));
