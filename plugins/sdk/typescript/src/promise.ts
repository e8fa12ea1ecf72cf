/**
 * Promises whose turns the library itself takes.
 *
 * A call of the host is answered when the function returns, and the engine runs what promises wait for only
 * afterwards: an `async` handler would never come to its end. So the build turns `async` functions into
 * generators, these promises take the place of the engine's, and {@link settle} runs whatever is due until the
 * handler is done. Nothing here waits for time: what a handler awaits is another promise.
 */

import { log } from "./log.js";

type Turn = () => void;
const turns: Turn[] = [];
/** Which one is due; a turn may begin to drain itself. */
let due = 0;
/** Promises that were rejected before anybody looked at them. */
const lost: Promised<unknown>[] = [];

/** Have this run before the call returns, behind what waits already. */
export function later(turn: Turn): void {
  turns.push(turn);
}

/** Run whatever is due, and what becomes due meanwhile. */
export function drain(): void {
  while (due < turns.length) turns[due++]!();
  turns.length = 0;
  due = 0;
  for (const promise of lost.splice(0)) {
    if (!promise.isHandled) log.error("a promise was rejected, and nobody waits for it:", promise.value);
  }
}

/** What a handler returned; for an `async` one, what it came to. */
export function settle<T>(value: T | PromiseLike<T>): T {
  if (!isThenable(value)) {
    if (turns.length > 0 || lost.length > 0) drain();
    return value;
  }
  const promise = Promised.resolve(value) as Promised<T>;
  promise.isHandled = true;
  drain();
  if (promise.state === "pending") {
    throw new Error("the handler waits for a promise that nothing will ever resolve");
  }
  if (promise.state === "rejected") throw promise.value;
  return promise.value as T;
}

function isThenable<T>(value: T | PromiseLike<T>): value is PromiseLike<T> {
  if (value === null || (typeof value !== "object" && typeof value !== "function")) return false;
  return typeof (value as { then?: unknown }).then === "function";
}

type State = "pending" | "fulfilled" | "rejected";
type Reaction = (state: State, value: unknown) => void;
type Resolve = (value?: unknown) => void;

/** A promise as ECMAScript describes it, on the queue above. */
export class Promised<T> {
  state: State = "pending";
  value: unknown = undefined;
  isHandled = false;
  private reactions: Reaction[] = [];

  constructor(executor: (resolve: Resolve, reject: Resolve) => void) {
    const [resolve, reject] = this.ends();
    try {
      executor(resolve, reject);
    } catch (error) {
      reject(error);
    }
  }

  static get [Symbol.species]() {
    return this;
  }

  get [Symbol.toStringTag]() {
    return "Promise";
  }

  /** The two functions that decide it; only the first call of either counts. */
  private ends(): [Resolve, Resolve] {
    let isDecided = false;
    const once = (decide: Resolve) => (value?: unknown) => {
      if (isDecided) return;
      isDecided = true;
      decide(value);
    };
    return [once((value) => this.follow(value)), once((reason) => this.decide("rejected", reason))];
  }

  private follow(value: unknown): void {
    if (value === this) return this.decide("rejected", new TypeError("a promise cannot wait for itself"));
    let then: unknown;
    try {
      const isObject = value !== null && (typeof value === "object" || typeof value === "function");
      then = isObject ? (value as { then?: unknown }).then : undefined;
    } catch (error) {
      return this.decide("rejected", error);
    }
    if (typeof then !== "function") return this.decide("fulfilled", value);
    const [resolve, reject] = this.ends();
    later(() => {
      try {
        (then as (resolve: Resolve, reject: Resolve) => void).call(value, resolve, reject);
      } catch (error) {
        reject(error);
      }
    });
  }

  private decide(state: State, value: unknown): void {
    this.state = state;
    this.value = value;
    if (state === "rejected" && !this.isHandled) lost.push(this as Promised<unknown>);
    for (const reaction of this.reactions) later(() => reaction(state, value));
    this.reactions = [];
  }

  then(fulfilled?: ((value: T) => unknown) | null, rejected?: ((reason: unknown) => unknown) | null) {
    this.isHandled = true;
    return new Promised<unknown>((resolve, reject) => {
      const react: Reaction = (state, value) => {
        const handler = state === "fulfilled" ? fulfilled : rejected;
        if (typeof handler !== "function") return state === "fulfilled" ? resolve(value) : reject(value);
        try {
          resolve((handler as (value: unknown) => unknown)(value));
        } catch (error) {
          reject(error);
        }
      };
      if (this.state === "pending") this.reactions.push(react);
      else later(() => react(this.state, this.value));
    });
  }

  catch(rejected?: ((reason: unknown) => unknown) | null) {
    return this.then(null, rejected);
  }

  finally(last?: (() => unknown) | null) {
    if (typeof last !== "function") return this.then();
    return this.then(
      (value) => Promised.resolve(last()).then(() => value),
      (reason) =>
        Promised.resolve(last()).then(() => {
          throw reason;
        }),
    );
  }

  static resolve(value?: unknown): Promised<unknown> {
    return value instanceof Promised ? value : new Promised((resolve) => resolve(value));
  }

  static reject(reason?: unknown): Promised<never> {
    return new Promised<never>((_, reject) => reject(reason));
  }

  static withResolvers() {
    let resolve: Resolve = () => {};
    let reject: Resolve = () => {};
    const promise = new Promised<unknown>((yes, no) => {
      resolve = yes;
      reject = no;
    });
    return { promise, resolve, reject };
  }

  static try(f: (...args: unknown[]) => unknown, ...args: unknown[]) {
    return new Promised<unknown>((resolve) => resolve(f(...args)));
  }

  static all(values: Iterable<unknown>) {
    return Promised.gather(values, (promise, keep, reject) => promise.then(keep, reject));
  }

  static allSettled(values: Iterable<unknown>) {
    return Promised.gather(values, (promise, keep) =>
      promise.then(
        (value) => keep({ status: "fulfilled", value }),
        (reason) => keep({ status: "rejected", reason }),
      ),
    );
  }

  static race(values: Iterable<unknown>) {
    return new Promised<unknown>((resolve, reject) => {
      for (const value of values) Promised.resolve(value).then(resolve, reject);
    });
  }

  static any(values: Iterable<unknown>) {
    const failed = Promised.gather(values, (promise, keep, found) => promise.then(found, keep));
    return failed.then(
      (errors) => {
        throw new AggregateError(errors as unknown[], "all promises were rejected");
      },
      (value) => value,
    );
  }

  /** What becomes of each, in order; `end` ends the whole before. */
  private static gather(
    values: Iterable<unknown>,
    each: (promise: Promised<unknown>, keep: Resolve, end: Resolve) => unknown,
  ) {
    return new Promised<unknown>((resolve, reject) => {
      const kept: unknown[] = [];
      let left = 1;
      const done = () => {
        if (--left === 0) resolve(kept);
      };
      let index = 0;
      for (const value of values) {
        const at = index++;
        left++;
        const keep = (result: unknown) => {
          kept[at] = result;
          done();
        };
        each(Promised.resolve(value), keep, reject);
      }
      done();
    });
  }
}
