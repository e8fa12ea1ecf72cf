/**
 * What programs take for granted and QuickJS does not have: `console`, `TextEncoder`, `TextDecoder`, `crypto`
 * for randomness, and promises that are done before a call returns. Imported before anything of the plugin.
 */

import { getRandomBytes } from "wasi:random/random@0.2.12";
import { consoleOfHost, isRunning } from "./log.js";
import { Promised, later } from "./promise.js";
import { decode, encode } from "./text.js";

class Utf8Encoder {
  readonly encoding = "utf-8";
  encode(text = ""): Uint8Array {
    return encode(String(text));
  }
}

class Utf8Decoder {
  readonly encoding = "utf-8";
  constructor(label = "utf-8") {
    if (!/^utf-?8$/i.test(label)) throw new RangeError(`\`${label}\` is not known, only utf-8 is`);
  }
  decode(bytes?: ArrayBuffer | ArrayBufferView): string {
    if (bytes === undefined) return "";
    const seen = ArrayBuffer.isView(bytes)
      ? new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength)
      : new Uint8Array(bytes);
    return decode(seen).replace(/^\ufeff/, "");
  }
}

/** Bytes that nobody can guess. Those drawn at the build would be the same in every instance. */
function random(length: number): Uint8Array {
  if (!isRunning()) throw new Error("randomness is drawn when the plugin runs, not at the top of a module");
  return getRandomBytes(length);
}

function getRandomValues<T extends ArrayBufferView>(array: T): T {
  new Uint8Array(array.buffer, array.byteOffset, array.byteLength).set(random(array.byteLength));
  return array;
}

function randomUUID(): string {
  const bytes = random(16);
  bytes[6] = (bytes[6]! & 0x0f) | 0x40;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  const digits = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return digits.replace(/(.{8})(.{4})(.{4})(.{4})(.{12})/, "$1-$2-$3-$4-$5");
}

/**
 * `Math.random` of the engine begins at the build, so every instance would draw the same numbers. This one
 * (xoshiro128**) begins with the host's randomness in each.
 */
const state = new Uint32Array(4);
let isSeeded = false;

function randomNumber(): number {
  if (!isSeeded) {
    getRandomValues(state);
    isSeeded = true;
  }
  return ((draw() >>> 5) * 0x4000000 + (draw() >>> 6)) / 0x20000000000000;
}

function draw(): number {
  const rolled = (value: number, by: number) => (value << by) | (value >>> (32 - by));
  const [a, b, c, d] = state as unknown as [number, number, number, number];
  const result = Math.imul(rolled(Math.imul(b, 5), 7), 9);
  state[2] = c ^ a;
  state[3] = d ^ b;
  state[1] = b ^ state[2];
  state[0] = a ^ state[3];
  state[2] ^= b << 9;
  state[3] = rolled(state[3], 11);
  return result >>> 0;
}

Math.random = randomNumber;
Object.assign(globalThis, {
  Promise: Promised,
  queueMicrotask: later,
  console: consoleOfHost,
  TextEncoder: Utf8Encoder,
  TextDecoder: Utf8Decoder,
  crypto: { getRandomValues, randomUUID },
});
