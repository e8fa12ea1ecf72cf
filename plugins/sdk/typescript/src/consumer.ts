/** Being run by a topic: views over the packed consumer's bytes. */

import { log, shown } from "./log.js";
import { settle } from "./promise.js";
import { decode } from "./text.js";
import { Malformed, Reader } from "./wire.js";

/** Messages of one partition, in order. */
export class Batch implements Iterable<Message> {
  readonly topic: string;
  readonly partition: number;
  /** How many records lay beyond this batch when it was read. */
  readonly behind: number;
  /** The number of messages. */
  readonly length: number;
  /** The message whose bytes do not follow the layout, so that the batch is not taken for done. */
  private fault: Failure | null = null;
  private readonly records: Reader;

  constructor(bytes: Uint8Array) {
    const reader = new Reader(bytes);
    reader.version();
    reader.pass(3, "reserved bytes");
    this.length = reader.u32("number of records");
    this.partition = reader.u32("partition");
    this.behind = reader.u64("behind");
    this.topic = reader.str("topic");
    this.records = reader;
  }

  *[Symbol.iterator](): Generator<Message, void> {
    const reader = this.records.from(this.records.at);
    for (let index = 0; index < this.length; index++) {
      try {
        const at = reader.skip("record");
        yield new Message(index, reader.from(at, reader.at));
      } catch (error) {
        if (!(error instanceof Malformed)) throw error;
        this.fault = new Failure(index, error.message, { tag: "dead-letter" });
        throw this.fault;
      }
    }
  }

  /**
   * Handle the messages one after the other. An exception names the message it came with: that one is tried
   * again, and those before it count as done.
   */
  each(handle: (message: Message) => void | Promise<void>): void {
    for (const message of this) {
      try {
        settle(handle(message));
      } catch (error) {
        throw error instanceof Failure ? error : retry(message, error);
      }
    }
  }

  /** What no handler may hide. */
  broken(): Failure | null {
    return this.fault;
  }
}

/** One record, seen in place. */
export class Message {
  /** Its place in the batch. */
  readonly index: number;
  /** The position in its partition. Offsets grow, with gaps. */
  readonly offset: number;
  /** When it was produced, in milliseconds since 1970-01-01 UTC. */
  readonly timestampMs: number;
  /** The key, which decided the partition. */
  readonly key: Uint8Array | null;
  /** The value; null is a tombstone. */
  readonly value: Uint8Array | null;
  private readonly rest: Reader;

  constructor(index: number, record: Reader) {
    this.index = index;
    this.offset = record.u64("offset");
    this.timestampMs = record.s64("timestamp");
    this.key = record.optional("key");
    this.value = record.optional("value");
    this.rest = record;
  }

  /** The key as text; empty without one. */
  keyText(): string {
    return this.key === null ? "" : decode(this.key);
  }

  /** The value as text; empty for a tombstone. */
  text(): string {
    return this.value === null ? "" : decode(this.value);
  }

  /** The value read as JSON; a tombstone reads as null. */
  json<T = unknown>(): T {
    return (this.value === null ? null : JSON.parse(decode(this.value))) as T;
  }

  /** The headers in order. */
  *headers(): Generator<[string, Uint8Array | null], void> {
    const reader = this.rest.from(this.rest.at);
    for (let left = reader.u32("number of headers"); left > 0; left--) {
      yield [reader.str("header name"), reader.optional("header value")];
    }
  }

  /** The first header of a name; undefined where there is none. */
  header(name: string): Uint8Array | null | undefined {
    for (const [key, value] of this.headers()) if (key === name) return value;
    return undefined;
  }
}

type Action = { tag: "retry"; val: number | null } | { tag: "dead-letter" };

/** Thrown by a handler: a batch that was not handled to its end. */
export class Failure extends Error {
  override name = "Failure";
  readonly index: number;
  readonly action: Action;

  constructor(index: number, reason: string, action: Action, cause?: unknown) {
    super(reason, cause === undefined ? undefined : { cause });
    this.index = index;
    this.action = action;
  }
}

/**
 * Throw this: hand the message over again, after the back-off of the manifest or `afterMs`. Those before it count
 * as done.
 */
export function retry(message: Message, reason: unknown, afterMs: number | null = null): Failure {
  return new Failure(message.index, reasonOf(reason), { tag: "retry", val: afterMs }, causeOf(reason));
}

/** Throw this: send the message to the dead-letter topic and go on behind it. Those before it count as done. */
export function deadLetter(message: Message, reason: unknown): Failure {
  return new Failure(message.index, reasonOf(reason), { tag: "dead-letter" }, causeOf(reason));
}

function reasonOf(reason: unknown): string {
  return reason instanceof Error ? `${reason.name}: ${reason.message}` : shown(reason);
}

function causeOf(reason: unknown): unknown {
  return reason instanceof Error ? reason : undefined;
}

/** Handles batches. An exception that is no {@link Failure} has the whole batch come again. */
export type ConsumeHandler = (batch: Batch) => void | Promise<void>;

/** One call of the packed consumer; what it throws is what the host is told. */
export function consume(handler: ConsumeHandler, bytes: Uint8Array): void {
  const failure = handled(handler, bytes);
  if (failure === null) return;
  throw { index: failure.index, reason: failure.message, action: failure.action };
}

function handled(handler: ConsumeHandler, bytes: Uint8Array): Failure | null {
  let batch: Batch | null = null;
  try {
    batch = new Batch(bytes);
    settle(handler(batch));
    return batch.broken();
  } catch (error) {
    const broken = batch?.broken();
    if (broken) return broken;
    const failure =
      error instanceof Failure ? error : new Failure(0, reasonOf(error), { tag: "retry", val: null }, causeOf(error));
    // The host tells the reason; where it was thrown only the plugin knows.
    if (failure.cause !== undefined) log.error(failure.cause);
    return failure;
  }
}
