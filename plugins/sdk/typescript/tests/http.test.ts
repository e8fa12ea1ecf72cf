import assert from "node:assert/strict";
import { test } from "node:test";
import { HttpError, type HttpHandler, Request, Response, blob, channel, json, serve, text } from "../src/http.js";
import { begin } from "../src/log.js";
import { Reader, Writer } from "../src/wire.js";
import { decode, encode } from "../src/text.js";
import { below, bytes } from "./random.js";

begin();

/** A head as the host writes it. */
function head(query: string | null = "a=1&b=x%20y+z&a=2"): Uint8Array {
  const out = new Writer();
  out.u8(1);
  out.u8(1 | (query === null ? 0 : 2));
  out.u16(2);
  out.u32(3);
  out.s64(1_700_000_000_123);
  for (const field of ["POST", "example.com", "/t/a%20b", query ?? "", "::1", "id7"]) out.str(field);
  for (const field of ["path", "a ü", "id", "7", "accept", "*/*", "x-a", "ö", "accept", "text/html"]) out.str(field);
  return out.done().slice();
}

/** What the client gets. */
function answer(handler: HttpHandler, body: Uint8Array = new Uint8Array(), given = head()) {
  const [packed, sent] = serve(handler, given, body);
  const reader = new Reader(packed);
  reader.version();
  assert.equal(reader.u8("reserved"), 0);
  const status = reader.u16("status");
  const headers = Array.from({ length: reader.u32("headers") }, () => [reader.str("name"), reader.str("value")]);
  assert.equal(reader.at, packed.length);
  return { status, headers, body: decode(sent) };
}

test("every part of a request is found", () => {
  const request = new Request(head(), encode("k=v&k=%C3%BC"));
  assert.deepEqual([request.method, request.scheme, request.host, request.path], ["POST", "https", "example.com", "/t/a%20b"]);
  assert.deepEqual([request.clientIp, request.id, request.timeMs], ["::1", "id7", 1_700_000_000_123]);
  assert.deepEqual(request.params, { path: "a ü", id: "7" });
  assert.deepEqual([request.headers.get("x-a"), request.headers.all("accept")], ["ö", ["*/*", "text/html"]]);
  assert.deepEqual([request.query.get("b"), request.query.all("a"), request.query.get("c")], ["x y z", ["1", "2"], null]);
  assert.deepEqual(request.form().all("k"), ["v", "ü"]);
});

test("headers are found whether or not parameters were asked for", () => {
  assert.equal(new Request(head(), new Uint8Array()).headers.get("x-a"), "ö");
});

test("an empty query is not a missing one", () => {
  assert.equal(new Request(head(""), new Uint8Array()).queryText, "");
  assert.equal(new Request(head(null), new Uint8Array()).queryText, null);
});

test("answers carry their type, and several values of a name", () => {
  assert.deepEqual(answer(() => json({ a: "ü" }, { status: 201 })), {
    status: 201, headers: [["content-type", "application/json"]], body: '{"a":"ü"}',
  });
  const cookies = answer(() => new Response("", { headers: { "set-cookie": ["a", "b"] } }));
  assert.deepEqual(cookies.headers, [["set-cookie", "a"], ["set-cookie", "b"]]);
  assert.deepEqual(answer(() => "hi").headers, [["content-type", "text/plain; charset=utf-8"]]);
  assert.deepEqual(answer(() => blob("covers", "a.png")).headers, [["x-trellis-blob", "covers/a.png"]]);
  assert.deepEqual(answer(() => channel("room", { recent: 3 })).headers, [["x-trellis-channel", "room"], ["x-trellis-start", "recent=3"]]);
});

test("an exception is a 500 that says nothing unless it is meant for the client", () => {
  const failed = answer(() => { throw new Error("the secret reason"); });
  assert.deepEqual([failed.status, failed.body], [500, "internal error"]);
  const [level, , line] = (globalThis as unknown as { lines: string[][] }).lines.at(-1)!;
  assert.equal(level, "error");
  assert(line!.startsWith("the request was answered with 500: Error: the secret reason\n    at "), line);
  const refused = answer(() => { throw new HttpError(422, "no such colour"); });
  assert.deepEqual([refused.status, refused.body], [422, "no such colour"]);
  assert.equal(answer((() => undefined) as unknown as HttpHandler).status, 500);
});

test("a body that is no JSON is a 400", () => {
  const parse: HttpHandler = (request) => json(request.json());
  assert.equal(answer(parse, encode("[1,2]")).body, "[1,2]");
  assert.equal(answer(parse, encode("[1,")).status, 400);
});

test("a head that ends early or is none is a 500", () => {
  const whole = head();
  const all: HttpHandler = (request) => text(JSON.stringify([request.params, [...request.headers], [...request.query]]));
  for (let end = 0; end < whole.length; end++) assert.equal(answer(all, undefined, whole.slice(0, end)).status, 500);
  for (let round = 0; round < 3000; round++) {
    const broken = whole.slice();
    broken[below(broken.length)] = below(256);
    assert([200, 500].includes(answer(all, undefined, broken).status));
    assert([200, 500].includes(answer(all, undefined, bytes(90)).status));
  }
});
