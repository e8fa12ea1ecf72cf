import assert from "node:assert/strict";
import { test } from "node:test";
import { pack } from "../src/records.js";
import { decode } from "../src/text.js";
import { Reader, Writer } from "../src/wire.js";

test("records are packed as the layout says", () => {
  const reader = new Reader(pack([
    { topic: "ä", key: "k", json: { a: 1 }, headers: { h: "1", n: null }, partition: 3, timestampMs: 5 },
    { topic: "b", value: Uint8Array.from([255]) },
  ]));
  reader.version();
  reader.pass(3, "reserved");
  assert.equal(reader.u32("count"), 2);
  const text = (what: string) => { const bytes = reader.optional(what); return bytes && decode(bytes); };
  const end = reader.u32("size") + reader.at;
  assert.deepEqual([reader.u32("partition"), reader.s64("time"), reader.str("topic")], [3, 5, "ä"]);
  assert.deepEqual([text("key"), text("value"), reader.u32("headers")], ["k", '{"a":1}', 2]);
  assert.deepEqual([reader.str("name"), text("value"), reader.str("name"), text("value")], ["h", "1", "n", null]);
  assert.equal(reader.at, end);
  reader.u32("size");
  assert.deepEqual([reader.u32("partition"), reader.s64("time"), reader.str("topic")], [0xffffffff, -1, "b"]);
  assert.deepEqual([reader.optional("key"), [...reader.optional("value")!], reader.u32("headers")], [null, [255], 0]);
  assert.equal(reader.at, reader.end);
});

test("what is written stays when the room has to grow, wherever that comes", () => {
  for (let before = 0; before < 24; before++) {
    const out = new Writer(16);
    for (let at = 0; at < before; at++) out.u8(at);
    out.u32(0xabcdef01);
    out.s64(-2);
    out.u16(0x1234);
    out.str("ü".repeat(40));
    out.optional(null);
    const reader = new Reader(out.done());
    for (let at = 0; at < before; at++) assert.equal(reader.u8("byte"), at);
    assert.deepEqual([reader.u32("a"), reader.s64("b"), reader.u16("c")], [0xabcdef01, -2, 0x1234]);
    assert.deepEqual([reader.str("d"), reader.optional("e"), reader.at], ["ü".repeat(40), null, reader.end]);
  }
});
