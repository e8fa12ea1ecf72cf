/** Lines for `trellis logs`. `console` writes there as well. */

import { inSources } from "./places.js";
import { type Level, log as write } from "wasi:logging/logging@0.1.0-draft";

/** Lines of a module's top, which runs at the build: told when an instance begins. */
const early: [Level, string][] = [];
/** How many of them are kept. */
const MOST_EARLY = 100;
let running = false;

/** Whether the host has called, and may be called. Before that the build runs the tops of modules. */
export function isRunning(): boolean {
  return running;
}

/** The host has called: tell what was said before. */
export function begin(): void {
  if (running) return;
  running = true;
  for (const [level, text] of early) write(level, "", text);
  early.length = 0;
}

function tell(level: Level, parts: unknown[]): void {
  const text = parts.map(shown).join(" ");
  if (running) write(level, "", text);
  else if (early.length < MOST_EARLY) early.push([level, text]);
}

/** A value as a line shows it; an error with its stack. */
export function shown(value: unknown): string {
  if (typeof value === "string") return value;
  if (value instanceof Error) return trace(value);
  if (typeof value !== "object" || value === null) return String(value);
  try {
    return JSON.stringify(value) ?? String(value);
  } catch {
    return String(value);
  }
}

/** An error, where it was thrown, and what caused it. */
function trace(error: Error): string {
  const head = `${error.name}: ${error.message}\n`;
  // QuickJS begins with the places, other engines with what is the head here.
  const stack = (error.stack ?? "").trimEnd();
  const text = (head + inSources(stack.startsWith(head) ? stack.slice(head.length) : stack)).trimEnd();
  return error.cause === undefined ? text : `${text}\ncaused by ${shown(error.cause)}`;
}

const at =
  (level: Level) =>
  (...parts: unknown[]): void =>
    tell(level, parts);

/** Writes lines; an error is written with its stack. */
export const log = {
  trace: at("trace"),
  debug: at("debug"),
  info: at("info"),
  warn: at("warn"),
  error: at("error"),
  critical: at("critical"),
};

/** What `console` is. */
export const consoleOfHost = {
  log: log.info,
  info: log.info,
  debug: log.debug,
  trace: log.debug,
  warn: log.warn,
  error: log.error,
  dir: log.info,
  assert(condition: unknown, ...parts: unknown[]): void {
    if (!condition) log.error("assertion failed:", ...parts);
  },
};
