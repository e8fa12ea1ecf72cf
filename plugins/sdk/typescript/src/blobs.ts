/** Bytes under a key: uploads, covers, recordings. Needs `[needs.blobs]`. */

import * as wit from "trellis:storage/blobs@0.1.0";
import { told } from "./host.js";
import { bytesOf } from "./text.js";

export type { Blob, Entry, Info } from "trellis:storage/blobs@0.1.0";

const put = told("blobs", wit.put);
const append = told("blobs", wit.append);
const list = told("blobs", wit.list);
/** How many entries a page of `list` has at most. */
const PAGE = 1000;

export const blobs = {
  /** Write a blob over whatever is there; at most 16 MiB. */
  put: (container: string, key: string, body: string | Uint8Array, contentType: string | null = null): wit.Info =>
    put(container, key, bytesOf(body), contentType),
  /** Add to the end of a blob, or begin one. */
  append: (container: string, key: string, bytes: string | Uint8Array): wit.Info =>
    append(container, key, bytesOf(bytes)),
  /** A whole blob of at most 16 MiB; null where there is none. */
  get: told("blobs", wit.get),
  /** So many bytes from an offset on, at most 1 MiB. */
  read: told("blobs", wit.read),
  /** What is known of a blob without reading it. */
  head: told("blobs", wit.head),
  delete: told("blobs", wit.delete),
  /** Write what is under one key under another. */
  copy: told("blobs", wit.copy),

  /** The blobs whose keys begin with `prefix`, in order, read page by page. */
  *list(container: string, prefix = "", after: string | null = null): Generator<wit.Entry, void> {
    for (;;) {
      const page = list(container, prefix, after, PAGE);
      yield* page;
      const last = page.at(-1);
      if (page.length < PAGE || last === undefined) return;
      after = last.key;
    }
  },
};
