/** Keys and values in named stores. Needs `[needs.keyvalue]`. */

import * as atomics from "wasi:keyvalue/atomics@0.2.0-draft2";
import * as many from "wasi:keyvalue/batch@0.2.0-draft2";
import * as stores from "wasi:keyvalue/store@0.2.0-draft2";
import { HostError, told } from "./host.js";
import { bytesOf, decode } from "./text.js";

const open = told("keyvalue", stores.open);

/** An open store. What `set`, `delete` and `increment` did is durable when they return. */
export class Store {
  private readonly bucket: stores.Bucket;

  constructor(name: string) {
    this.bucket = open(name);
  }

  get(key: string): Uint8Array | null {
    return asked(() => this.bucket.get(key));
  }

  text(key: string): string | null {
    const value = this.get(key);
    return value === null ? null : decode(value);
  }

  json<T = unknown>(key: string): T | null {
    const value = this.text(key);
    return value === null ? null : (JSON.parse(value) as T);
  }

  /** Write a value over whatever was there. */
  set(key: string, value: string | Uint8Array): void {
    asked(() => this.bucket.set(key, bytesOf(value)));
  }

  /** Remove a key; a missing one is fine. */
  delete(key: string): void {
    asked(() => this.bucket.delete(key));
  }

  exists(key: string): boolean {
    return asked(() => this.bucket.exists(key));
  }

  /** All keys, read page by page. */
  *keys(): Generator<string, void> {
    let cursor: string | null = null;
    do {
      const page = this.page(cursor);
      yield* page.keys;
      cursor = page.cursor;
    } while (cursor !== null);
  }

  private page(cursor: string | null): { keys: string[]; cursor: string | null } {
    return asked(() => this.bucket.listKeys(cursor));
  }

  /** Add to a number and return the sum; no other writer can come between. */
  increment(key: string, by = 1): number {
    return asked(() => atomics.increment(this.bucket, key, by));
  }

  /** Replace a value; the function runs again whenever somebody else wrote in between. */
  update(key: string, change: (value: Uint8Array | null) => string | Uint8Array): void {
    let read = asked(() => atomics.Cas.new(this.bucket, key));
    for (;;) {
      const current = read;
      let value: Uint8Array;
      try {
        value = bytesOf(change(asked(() => current.current())));
      } catch (error) {
        current[Symbol.dispose]?.();
        throw error;
      }
      try {
        return atomics.swap(current, value);
      } catch (error) {
        const { tag, val } = (error as { payload: { tag: string; val: unknown } }).payload;
        if (tag !== "cas-failed") throw new HostError("keyvalue", val);
        read = val as atomics.Cas;
      }
    }
  }

  getMany(keys: string[]): (Uint8Array | null)[] {
    return asked(() => many.getMany(this.bucket, keys)).map((found) => found && found[1]);
  }

  /** Write several values, all or none. */
  setMany(values: { [key: string]: string | Uint8Array }): void {
    const pairs = Object.entries(values).map(([key, value]): [string, Uint8Array] => [key, bytesOf(value)]);
    asked(() => many.setMany(this.bucket, pairs));
  }

  /** Remove several keys, all or none. */
  deleteMany(keys: string[]): void {
    asked(() => many.deleteMany(this.bucket, keys));
  }
}

function asked<T>(question: () => T): T {
  return told("keyvalue", question)();
}

/** What is open. The engine does not give a store back that nobody holds any more, so each is opened once. */
const opened = new Map<string, Store>();

export const keyvalue = {
  /** Open a store that is in `[needs.keyvalue] stores` of the manifest; the same one as before, where it is open. */
  open(name = "default"): Store {
    const store = opened.get(name) ?? new Store(name);
    opened.set(name, store);
    return store;
  },
};
