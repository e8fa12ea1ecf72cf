/**
 * Runs the library's own tests: `npm install --prefix toolchain && node test.mjs`.
 *
 * They are bundled as plugins are, so that what the build does to promises is tried as well. The host is not there:
 * its log keeps the lines for tests to look at.
 */

import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const require = createRequire(join(here, "toolchain/package.json"));
const esbuild = require("esbuild");

const host = {
  name: "host",
  setup(build) {
    build.onResolve({ filter: /^(trellis|wasi):/ }, ({ path }) => ({ path, namespace: "host" }));
    build.onLoad({ filter: /^wasi:logging/, namespace: "host" }, () => ({
      contents: "export const log = (...line) => (globalThis.lines ??= []).push(line);",
    }));
  },
};

function types() {
  const tsc = join(dirname(require.resolve("typescript/package.json")), "bin/tsc");
  const { status } = spawnSync(process.execPath, [tsc, "--project", join(here, "tests/tsconfig.json")], { stdio: "inherit" });
  return status;
}

async function run() {
  const files = readdirSync(join(here, "tests")).filter((file) => file.endsWith(".test.ts"));
  const out = mkdtempSync(join(tmpdir(), "trellis-sdk-"));
  try {
    await esbuild.build({
      entryPoints: files.map((file) => join(here, "tests", file)),
      outdir: out,
      outExtension: { ".js": ".mjs" },
      bundle: true,
      platform: "node",
      format: "esm",
      tsconfigRaw: {},
      supported: { "async-await": false, "async-generator": false, "for-await": false },
      plugins: [host],
    });
    const made = readdirSync(out).map((file) => join(out, file));
    return spawnSync(process.execPath, ["--test", ...made], { stdio: "inherit" }).status;
  } finally {
    rmSync(out, { recursive: true });
  }
}

process.exitCode = types() || (await run());
