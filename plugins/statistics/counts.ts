/** Counts a batch in memory, so that each counter is written once for all its messages. */

import { encode, decode } from "trellis";

/** How long a window of `stats` is. */
export const WINDOW_MS = 5_000;
/** The longest key in bytes; what is longer is cut. */
const MAX_KEY = 512;

/** A key and its count. */
export type Count = [key: string, count: number];

/** What happened in 5 seconds. */
export interface Window {
  events: number;
  /** The sum of their delays, in milliseconds. */
  lagMs: number;
}

/** A message that is not a JSON object with a `type`. */
export class NoEvent extends Error {
  override name = "NoEvent";
  constructor() {
    super("the message is not a JSON object with a `type`");
  }
}

/** What a batch adds to the four statistics. */
export class Counts {
  private readonly tallies = { events: new Map(), metadata: new Map(), searches: new Map() } as {
    [table in "events" | "metadata" | "searches"]: Map<string, number>;
  };
  /** By the number of the window since 1970. */
  readonly windows = new Map<number, Window>();
  /** The number of events. */
  total = 0;
  /** The time of the newest record, in milliseconds since 1970-01-01 UTC. */
  updatedMs = 0;

  /** Count one message with the time of its record. What is no event changes nothing. */
  add(message: unknown, timestampMs: number): void {
    const event = object(message);
    const type = text(event?.type);
    if (event === null || type === "") throw new NoEvent();
    const params = object(event.params);
    const action = text(params?.action);
    const { events, metadata, searches } = this.tallies;
    count(events, action === "" ? type : `${type}[${action}]`);
    for (const [label, value] of [["node", event.node], ["ip", event.ip], ["country", object(event.geo)?.country]]) {
      const found = text(value);
      if (found !== "") count(metadata, `${label}[${found}]`);
    }
    const searched = text(params?.text);
    if (type === "offr" && action === "preview" && searched !== "") count(searches, searched);
    this.inWindow(timestampMs, event.klag);
    this.total += 1;
    this.updatedMs = Math.max(this.updatedMs, timestampMs);
  }

  /** What to add to a table, in the order of the keys, which keeps writers from waiting in circles. */
  of(table: "events" | "metadata" | "searches"): Count[] {
    const merged = new Map<string, number>();
    for (const [key, value] of this.tallies[table]) count(merged, fitting(key), value);
    return [...merged].sort(([a], [b]) => (a < b ? -1 : 1));
  }

  private inWindow(timestampMs: number, lag: unknown): void {
    const number = Math.floor(timestampMs / WINDOW_MS);
    const window = this.windows.get(number) ?? { events: 0, lagMs: 0 };
    window.events += 1;
    window.lagMs += typeof lag === "number" && lag > 0 ? Math.trunc(lag) : 0;
    this.windows.set(number, window);
  }
}

function count(tally: Map<string, number>, key: string, by = 1): void {
  tally.set(key, (tally.get(key) ?? 0) + by);
}

function object(value: unknown): Record<string, unknown> | null {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : null;
}

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}

/** A text as a key: no NUL, which PostgreSQL refuses, and short enough for an index. */
function fitting(key: string): string {
  // No character takes more than three bytes for each of its units.
  const short = key.length * 3 <= MAX_KEY ? key : cut(encode(key));
  return short.replaceAll("\0", "\ufffd");
}

/** As many whole characters as fit. */
function cut(bytes: Uint8Array): string {
  if (bytes.length <= MAX_KEY) return decode(bytes);
  let end = MAX_KEY;
  while (end > 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80) end -= 1;
  return decode(bytes.subarray(0, end));
}
