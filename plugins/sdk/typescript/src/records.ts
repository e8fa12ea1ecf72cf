/** Records to be written, in the layout of the packed producer. */

import type { Message } from "./consumer.js";
import { bytesOf, encode } from "./text.js";
import { VERSION, Writer } from "./wire.js";

/** The partition that says "by the key", and the timestamp that says "now". */
const BY_KEY = 0xffffffff;
const NOW = -1;
/** The header that carries a trace (W3C Trace Context). */
const TRACEPARENT = "traceparent";

type Bytes = string | Uint8Array;

/** A record to be written. What is not set is null, now, or by the hash of the key. */
export interface Outgoing {
  /** In `[needs.produce]` of the manifest. */
  topic: string;
  /** Records of one key stay in order. */
  key?: Bytes | null;
  value?: Bytes | null;
  /** The value, written as JSON, in place of `value`. */
  json?: unknown;
  headers?: { [name: string]: Bytes | null };
  partition?: number;
  /** In milliseconds since 1970-01-01 UTC. */
  timestampMs?: number;
  /** The message that it was made of: it gets its key, unless it has one, and stays in its trace. */
  madeOf?: Message;
}

/** Records as the host takes them. */
export function pack(records: readonly Outgoing[]): Uint8Array {
  const out = new Writer(64 + records.length * 256);
  out.u8(VERSION);
  for (let left = 3; left > 0; left--) out.u8(0);
  out.u32(records.length);
  for (const record of records) put(out, record);
  return out.done();
}

function put(out: Writer, record: Outgoing): void {
  const start = out.length;
  out.u32(0);
  out.u32(record.partition ?? BY_KEY);
  out.s64(record.timestampMs ?? NOW);
  out.str(record.topic);
  out.optional(optional(record.key ?? record.madeOf?.key));
  out.optional("json" in record ? encode(JSON.stringify(record.json) ?? "null") : optional(record.value));
  const headers = Object.entries(record.headers ?? {});
  const trace = record.madeOf?.header(TRACEPARENT);
  if (trace != null) headers.push([TRACEPARENT, trace]);
  out.u32(headers.length);
  for (const [name, value] of headers) {
    out.str(name);
    out.optional(optional(value));
  }
  out.patch(start, out.length - start - 4);
}

function optional(value: Bytes | null | undefined): Uint8Array | null {
  return value == null ? null : bytesOf(value);
}
