import assert from "node:assert/strict";
import { test } from "node:test";
import { begin } from "../src/log.js";
import { Promised, later, settle } from "../src/promise.js";

begin();

/** What an `async` function comes to, with the library's promises in place of the engine's. */
function settled<T>(work: () => T | PromiseLike<T>): T {
  const own = globalThis.Promise;
  Object.assign(globalThis, { Promise: Promised });
  try {
    return settle(work());
  } finally {
    Object.assign(globalThis, { Promise: own });
  }
}

test("an async function is done when the call returns", () => {
  const order: string[] = [];
  const slow = async (name: string) => {
    order.push(`${name} begins`);
    await null;
    order.push(`${name} ends`);
    return name.length;
  };
  const sum = settled(async () => (await slow("a")) + (await Promise.all([slow("bb"), slow("ccc")])).length);
  assert.equal(sum, 3);
  assert.deepEqual(order, ["a begins", "a ends", "bb begins", "ccc begins", "bb ends", "ccc ends"]);
});

test("a rejection is the exception of the call", () => {
  assert.throws(() => settled(async () => { await null; throw new RangeError("no"); }), { name: "RangeError", message: "no" });
  assert.equal(settled(async () => { try { await Promise.reject(1); } catch { return 2; } return 3; }), 2);
});

test("a promise that nothing resolves is an error and no endless wait", () => {
  assert.throws(() => settled(() => new Promise(() => {})), { name: "Error" });
});

test("async generators and for await are run as well", () => {
  const sum = settled(async () => {
    async function* numbers() { yield 1; await null; yield 2; }
    let sum = 0;
    for await (const number of numbers()) sum += number;
    return sum;
  });
  assert.equal(sum, 3);
});

test("the ways to wait for several", () => {
  const of = (...values: unknown[]) => values.map((value) => Promised.resolve(value));
  const no = () => Promised.reject(new Error("no"));
  const value = (promise: PromiseLike<unknown>) => settle(promise);
  assert.deepEqual(value(Promised.all([]) as never), []);
  assert.deepEqual(value(Promised.all(of(1, 2)) as never), [1, 2]);
  assert.throws(() => value(Promised.all([...of(1), no()]) as never), { message: "no" });
  assert.equal(value(Promised.race(of(1, 2)) as never), 1);
  assert.equal(value(Promised.any([no(), ...of(2)]) as never), 2);
  assert.throws(() => value(Promised.any([no()]) as never), { name: "AggregateError" });
  assert.deepEqual((value(Promised.allSettled([no(), 1]) as never) as { status: string }[]).map(({ status }) => status), ["rejected", "fulfilled"]);
});

test("finally hands on what was, and thenables are followed", () => {
  let seen = 0;
  assert.equal(settle(Promised.resolve(1).finally(() => { seen++; }) as never), 1);
  assert.throws(() => settle(Promised.reject(new Error("no")).finally(() => { seen++; }) as never), { message: "no" });
  assert.equal(seen, 2);
  assert.equal(settle({ then: (resolve: (value: number) => void) => resolve(5) } as never), 5);
  const { promise, resolve } = Promised.withResolvers();
  later(() => resolve(7));
  assert.equal(settle(promise as never), 7);
});

test("a handler within a handler is done before it goes on", () => {
  const order: number[] = [];
  const inner = async (number: number) => { await null; order.push(number); };
  settled(async () => { await null; settle(inner(1)); order.push(2); await inner(3); });
  assert.deepEqual(order, [1, 2, 3]);
});

test("a rejection that nobody waits for is told, and others are not", () => {
  const lines = ((globalThis as unknown as { lines: string[][] }).lines = []) as string[][];
  settled(async () => {
    void Promise.reject(new Error("left alone"));
    await Promise.reject(new Error("caught")).catch(() => {});
    try { await (async () => { throw new Error("caught, too"); })(); } catch { /* looked at */ }
  });
  assert.equal(lines.length, 1);
  assert(lines[0]![2]!.includes("left alone"));
});

test("a promise is decided once", () => {
  const promise = new Promised<unknown>((resolve, reject) => { resolve(1); reject(new Error("late")); resolve(2); });
  assert.equal(settle(promise as never), 1);
});
