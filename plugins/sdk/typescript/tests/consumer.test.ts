import assert from "node:assert/strict";
import { test } from "node:test";
import { Batch, type Message, consume, deadLetter, retry } from "../src/consumer.js";
import { begin } from "../src/log.js";
import { Writer } from "../src/wire.js";
import { encode } from "../src/text.js";
import { below } from "./random.js";

begin();

interface Given {
  key?: string;
  value?: string;
  headers?: [string, string | null][];
}

const optional = (text: string | null | undefined) => (text == null ? null : encode(text));

/** A batch as the host writes it. */
function packed(records: Given[]): Uint8Array {
  const out = new Writer();
  for (const byte of [1, 0, 0, 0]) out.u8(byte);
  out.u32(records.length);
  out.u32(3);
  out.s64(7);
  out.str("events");
  records.forEach(({ key, value, headers = [] }, index) => {
    const record = new Writer();
    record.s64(2 ** 40 + index);
    record.s64(-5);
    record.optional(optional(key));
    record.optional(optional(value));
    record.u32(headers.length);
    for (const [name, text] of headers) {
      record.str(name);
      record.optional(optional(text));
    }
    out.slice(record.done());
  });
  return out.done().slice();
}

/** What the host is told of a batch. */
function told(bytes: Uint8Array, handle: (batch: Batch) => void | Promise<void>): unknown {
  try {
    consume(handle, bytes);
    return null;
  } catch (failure) {
    return failure;
  }
}

/** Look at all there is in a message. */
function look(message: Message): void {
  message.text();
  message.keyText();
  [...message.headers()];
}

test("every part of a message is found", () => {
  const bytes = packed([{ key: "k", value: '{"a":"ü"}', headers: [["h", "1"], ["n", null]] }, {}]);
  const batch = new Batch(bytes);
  assert.deepEqual([batch.topic, batch.partition, batch.behind, batch.length], ["events", 3, 7, 2]);
  const [first, second] = [...batch];
  assert.deepEqual([first!.offset, first!.timestampMs, first!.keyText()], [2 ** 40, -5, "k"]);
  assert.deepEqual(first!.json(), { a: "ü" });
  assert.deepEqual([[...first!.header("h")!], first!.header("n"), first!.header("x")], [[49], null, undefined]);
  assert.deepEqual([second!.key, second!.value, second!.json(), second!.index], [null, null, null, 1]);
});

test("a batch may be walked over more than once", () => {
  const batch = new Batch(packed([{ value: "1" }, { value: "2" }]));
  assert.equal([...batch].length + [...batch].length, 4);
});

test("an exception has the whole batch come again, and one that names a message that one", () => {
  const bytes = packed([{ value: "1" }, { value: "no" }]);
  const retried = { tag: "retry", val: null };
  assert.equal(told(bytes, () => {}), null);
  const thrown = told(bytes, () => { throw new TypeError("no table"); });
  assert.deepEqual(thrown, { index: 0, reason: "TypeError: no table", action: retried });
  const each = told(bytes, (batch) => batch.each((message) => void message.json())) as { index: number; action: object };
  assert.deepEqual([each.index, each.action], [1, retried]);
  const dead = told(bytes, ([, second]) => { throw deadLetter(second!, "not mine"); });
  assert.deepEqual(dead, { index: 1, reason: "not mine", action: { tag: "dead-letter" } });
  const later = told(bytes, ([first]) => { throw retry(first!, "busy", 500); });
  assert.deepEqual(later, { index: 0, reason: "busy", action: { tag: "retry", val: 500 } });
});

test("bytes that end early are an error and no end of the batch", () => {
  const bytes = packed([{ key: "k", value: "value", headers: [["h", "1"]] }, { value: "2" }]);
  for (let end = 0; end < bytes.length; end++) {
    const failure = told(bytes.subarray(0, end), (batch) => { for (const message of batch) look(message); });
    assert(failure !== null, `cut at ${end}`);
  }
});

test("what cannot be read is not hidden by a handler that catches everything", () => {
  const bytes = packed([{ value: "1" }, { value: "2" }]);
  const failure = told(bytes.subarray(0, -3), (batch) => { try { [...batch]; } catch { /* as some would */ } });
  assert.deepEqual([(failure as { index: number }).index, (failure as { action: object }).action], [1, { tag: "dead-letter" }]);
});

test("counts and lengths that are lies take no memory", () => {
  const bytes = packed([{ value: "1" }]);
  new DataView(bytes.buffer).setUint32(4, 0xffffffff, true);
  const failure = told(bytes, (batch) => { for (const message of batch) look(message); });
  assert.equal((failure as { index: number }).index, 1);
  assert.throws(() => new Batch(Uint8Array.from([2, ...bytes.subarray(1)])), { name: "Malformed" });
});

test("any changed byte is read as something or refused", () => {
  const bytes = packed([{ key: "k", value: "value", headers: [["h", "1"]] }, { value: "2" }]);
  for (let round = 0; round < 3000; round++) {
    const broken = bytes.slice();
    broken[below(broken.length)] = below(256);
    let count = 0;
    told(broken, (batch) => { for (const message of batch) { look(message); count++; } });
    assert(count <= bytes.length);
  }
});
