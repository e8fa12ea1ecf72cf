import assert from "node:assert/strict";
import { test } from "node:test";
import { decode, encode } from "../src/text.js";
import { below, bytes } from "./random.js";

const decoder = new TextDecoder();
const encoder = new TextEncoder();
/** Of a byte order mark the engine's own decoder would say nothing. */
const marked = (all: Uint8Array) => all[0] === 0xef && all[1] === 0xbb && all[2] === 0xbf;

test("well-formed texts are read and written as they are", () => {
  for (const text of ["", "plain", "für", "日本語", "🎵 a", "\0\x7f", "x".repeat(100_000)]) {
    assert.equal(decode(encoder.encode(text)), text);
    assert.deepEqual([...encode(text)], [...encoder.encode(text)]);
  }
});

test("any bytes become a text without an end or an exception", () => {
  for (let round = 0; round < 3000; round++) {
    const input = bytes(24);
    const text = decode(input);
    assert(text.length <= input.length);
    assert(!/\p{Surrogate}/u.test(text));
    const intact = decoder.decode(input);
    if (!marked(input) && !intact.includes("\ufffd")) assert.equal(text, intact);
  }
});

test("what is well-formed beside broken bytes is kept", () => {
  const broken = Uint8Array.from([0x61, 0xff, ...encoder.encode("ü日🎵"), 0xed, 0xa0, 0x80, 0x62]);
  assert.equal(decode(broken), "a\ufffdü日🎵\ufffd\ufffd\ufffdb");
});

test("half a surrogate pair is replaced and not an exception", () => {
  assert.equal(decode(encode("a\ud800b")), "a\ufffdb");
  for (let round = 0; round < 500; round++) {
    const text = String.fromCharCode(...Array.from({ length: below(12) }, () => below(0x10000)));
    assert.deepEqual([...encode(text)], [...encoder.encode(text)]);
  }
});
