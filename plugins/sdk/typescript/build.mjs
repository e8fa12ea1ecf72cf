/**
 * Makes the component of a plugin: types are checked while the sources become one file and that file a component.
 *
 *   node build.mjs TOOLCHAIN PLUGIN OUT IMPORT...
 *
 * TOOLCHAIN has the `node_modules` with the compilers, PLUGIN is the plugin's source, OUT the component. The
 * IMPORTs are the interfaces that its world has, so that one that was not asked for is told by its name. What is
 * wrong with the plugin goes to standard output in the words of the tool that noticed.
 */

import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { SourceMap, builtinModules, createRequire } from "node:module";
import { basename, dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const [toolchain, plugin, out, ...imports] = process.argv.slice(2);
const here = dirname(fileURLToPath(import.meta.url));
const library = join(here, "src");
const folder = dirname(resolve(plugin));
const require = createRequire(join(toolchain, "package.json"));

/** Something that is wrong with the plugin, told without a stack. */
class Wrong extends Error {}

/** The complaints of the compiler, with file and line; of JavaScript it has none. */
function typeErrors() {
  if (!plugin.endsWith(".ts")) return Promise.resolve("");
  const own = join(folder, "tsconfig.json");
  const project = existsSync(own) ? own : join(here, "tsconfig.json");
  const tsc = join(dirname(require.resolve("typescript/package.json")), "bin/tsc");
  const child = spawn(process.execPath, [tsc, "--noEmit", "--pretty", "false", "--project", project], { cwd: folder });
  let said = "";
  child.stdout.on("data", (piece) => (said += piece));
  child.stderr.on("data", (piece) => (said += piece));
  return new Promise((done, failed) => {
    child.on("error", failed);
    child.on("close", (code) => done(code === 0 ? "" : said.trimEnd()));
  });
}

/** All sources as one file, with a table of where its lines come from. */
async function bundle() {
  const esbuild = require("esbuild");
  let result;
  try {
    result = await esbuild.build({
      entryPoints: [join(library, "main.ts")],
      absWorkingDir: folder,
      bundle: true,
      write: false,
      metafile: true,
      sourcemap: "external",
      outfile: join(folder, "plugin.bundle.js"),
      format: "esm",
      target: "es2023",
      // The library takes the turns of promises itself, see promise.ts.
      supported: { "async-await": false, "async-generator": false, "for-await": false },
      tsconfigRaw: {},
      alias: {
        "trellis/plugin": resolve(plugin),
        "trellis/manifest": join(here, "manifest.ts"),
        trellis: join(library, "index.ts"),
      },
      external: ["trellis:*", "wasi:*"],
      loader: { ".html": "text", ".css": "text", ".svg": "text", ".txt": "text" },
      logLevel: "silent",
    });
  } catch (error) {
    if (!error.errors) throw error;
    throw new Wrong((await esbuild.formatMessages(error.errors.map(forPeople), { kind: "error" })).join("").trimEnd());
  }
  const outputs = Object.values(result.metafile.outputs);
  checkImports(outputs.flatMap((output) => output.imports));
  const [map, code] = ["map", "js"].map((kind) => result.outputFiles.find((file) => file.path.endsWith(`.${kind}`)));
  return { text: code.text, places: places(map.text, code.text) };
}

/** A complaint of the bundler's without places in the library, and with advice that helps here. */
function forPeople(error) {
  const notes = error.notes.filter((note) => !note.text.includes("as external")).map((note) => {
    const inside = note.location?.file.startsWith(".trellis/");
    return inside ? { ...note, location: null } : note;
  });
  if (/^Could not resolve "[^./]/.test(error.text)) {
    const [name] = /^(@[^/]+\/)?[^/]+/.exec(error.text.split('"')[1]) ?? [];
    const isNode = name?.startsWith("node:") || builtinModules.includes(name);
    const advice = isNode
      ? "A plugin does not have Node's own modules."
      : `If it is a package of npm, install it beside plugin.toml: npm install ${name}`;
    notes.push({ text: advice, location: null });
  }
  return { ...error, notes };
}

/** What in plugin.toml brings an interface; the rest there always is. */
const NEEDS = {
  "trellis:http/client": '[needs.http] hosts = ["example.org"]',
  "trellis:kafka/packed-producer": '[needs.produce] topics = ["events"]',
  "trellis:plugin/geoip": "[needs] geoip = true",
  "trellis:storage/blobs": '[needs.blobs] containers = ["files"]',
  "trellis:storage/cache": "[needs.cache]",
  "trellis:storage/sql": "[needs.sql]",
  "trellis:streaming/channels": '[needs.channels."NAME"]',
  "trellis:streaming/mailboxes": '[needs.channels."NAME"]',
  "trellis:streaming/presence": '[needs.channels."NAME"]',
  "wasi:keyvalue/atomics": '[needs.keyvalue] stores = ["default"]',
  "wasi:keyvalue/batch": '[needs.keyvalue] stores = ["default"]',
  "wasi:keyvalue/store": '[needs.keyvalue] stores = ["default"]',
};

/** What the sources use must be in the world. */
function checkImports(used) {
  const paths = used.filter((it) => it.external).map((it) => it.path);
  const missing = [...new Set(paths)].filter((path) => !imports.includes(path));
  if (missing.length === 0) return;
  const lines = missing.map((path) => {
    const need = NEEDS[path.split("@")[0]];
    return need ? `the plugin uses \`${path}\`: add \`${need}\` to plugin.toml` : `there is no \`${path}\``;
  });
  throw new Wrong(lines.join("\n"));
}

/** For each line of the one file the source and the line in it. */
function places(map, code) {
  const payload = JSON.parse(map);
  const found = new SourceMap(payload);
  const sources = [];
  const lines = code.split("\n").map((text, at) => {
    const column = text.search(/\S/);
    const entry = column < 0 ? {} : found.findEntry(at, text.length);
    if (entry.originalSource === undefined || entry.generatedLine !== at) return 0;
    const source = relative(folder, resolve(folder, entry.originalSource));
    let index = sources.indexOf(source);
    if (index < 0) index = sources.push(source) - 1;
    return [index, entry.originalLine + 1];
  });
  return { sources, lines };
}

/** What the last build made, behind the digest of what it was made of. */
const LAST = join(here, "../last-build");

/** Everything that the component is made of. */
function digest(code) {
  const wit = join(here, "../wit");
  const files = readdirSync(wit, { recursive: true }).filter((file) => file.endsWith(".wit")).sort();
  const parts = [basename(toolchain), code.text, ...files.map((file) => readFileSync(join(wit, file), "utf8"))];
  return createHash("sha256").update(JSON.stringify(parts)).digest();
}

/**
 * The component of the last build, if it would be made of the same again: no two are the same to the last byte, and
 * a host would take the new one for another version.
 */
async function componentOf(code) {
  const wanted = digest(code);
  const last = existsSync(LAST) ? readFileSync(LAST) : Buffer.alloc(0);
  if (last.subarray(0, wanted.length).equals(wanted)) return last.subarray(wanted.length);
  const made = await component(code);
  writeFileSync(LAST, Buffer.concat([wanted, made]));
  return made;
}

/** The one file beside the engine, as it is once the file's top has run. */
async function component({ text, places }) {
  const { componentize } = require("componentize-qjs");
  const jsSource = `${text}\nglobalThis.__places = ${JSON.stringify(places)};\n`;
  try {
    return (await componentize({ witPath: join(here, "../wit"), jsSource, sync: true })).component;
  } catch (error) {
    const said = String(error.message ?? error).replace(/^.*module evaluation: /s, "");
    const placed = said.replace(/componentize-qjs:user\.js:(\d+)(?::\d+)?/g, (found, line) => {
      const place = places.lines[line - 1];
      return place ? `${places.sources[place[0]]}:${place[1]}` : found;
    });
    throw new Wrong(placed.split("\n").filter((line) => !line.includes("(.trellis/")).join("\n"));
  }
}

async function build() {
  // Each has its own threads or process; whichever is wrong first ends the build.
  const [types, made] = await Promise.all([typeErrors(), bundle().then(componentOf).catch((error) => error)]);
  if (types !== "") throw new Wrong(types);
  if (made instanceof Error) throw made;
  writeFileSync(out, made);
}

build().catch((error) => {
  console.log(error instanceof Wrong ? error.message : error.stack);
  process.exitCode = 1;
});
