/** Values that may be forgotten, so that they need not be computed again. Needs `[needs.cache]`. */

import * as wit from "trellis:storage/cache@0.1.0";
import { HostError, told } from "./host.js";
import { bytesOf, decode } from "./text.js";

/** How long a computation may take before somebody else begins one, and how long others wait for it. */
const PATIENCE_MS = 30_000;

const get = told("cache", wit.get);
const set = told("cache", wit.set);
const add = told("cache", wit.add);
const forget = told("cache", wit.delete);
const take = told("cache", (key: string) => wit.Claim.take(key, PATIENCE_MS, PATIENCE_MS));

export const cache = {
  get: (key: string): Uint8Array | null => get(key),

  text(key: string): string | null {
    const value = get(key);
    return value === null ? null : decode(value);
  },

  /** Write a value over whatever is there, for `ttlMs` milliseconds. */
  set: (key: string, value: string | Uint8Array, ttlMs: number): void => set(key, bytesOf(value), ttlMs),

  /** Write a value where there is none; whether it was written. Of many callers one is told true. */
  add: (key: string, value: string | Uint8Array, ttlMs: number): boolean => add(key, bytesOf(value), ttlMs),

  delete: (key: string): void => forget(key),

  /**
   * The value of a key, computed where there is none. Of all calls that want it at once, on all hosts, one
   * computes it and the others wait. A cache that is not available is an exception before anything was computed,
   * and none after.
   */
  remember(key: string, ttlMs: number, compute: () => string | Uint8Array): Uint8Array {
    const claimed = take(key);
    if (claimed.tag === "value") return claimed.val;
    if (claimed.tag === "taken") return bytesOf(compute());
    const claim = claimed.val;
    try {
      const value = bytesOf(compute());
      fill(claim, value, ttlMs);
      return value;
    } finally {
      claim[Symbol.dispose]?.();
    }
  },
};

/** Hand a value to all who wait. It is right, too, where the claim was lost meanwhile or the cache went away. */
function fill(claim: wit.Claim, value: Uint8Array, ttlMs: number): void {
  try {
    told("cache", () => claim.fill(value, ttlMs))();
  } catch (error) {
    if (!(error instanceof HostError) || error.kind === "invalid") throw error;
  }
}
