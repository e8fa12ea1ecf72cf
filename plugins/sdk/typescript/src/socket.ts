/** Speaking a protocol of one's own over TCP: each connection has an instance, whose memory is its state. */

import type { Connection } from "trellis:streaming/types@0.1.0";
import { log } from "./log.js";
import { settle } from "./promise.js";
import { bytesOf } from "./text.js";

/** Who came. */
export interface Arrival {
  connection: Connection;
  /** The `name` of the `[[listen]]` table. */
  listener: string;
  clientIp: string;
  clientPort: number;
  timeMs: number;
}

/** What is to happen; all of it may be left out. */
export interface Reply {
  send?: string | Uint8Array;
  /** Call `drained` once the system has taken all bytes. */
  tellDrained?: boolean;
  /** Call `woken` so many milliseconds from now. */
  wakeMs?: number | null;
  /** Close the connection once all has been sent; the reason is for people. */
  close?: string | null;
}

type Replies = Reply | void | Promise<Reply | void>;

/** What a plugin with sockets does. An exception closes the connection. */
export interface Socket {
  open(arrival: Arrival): Replies;
  /** The client sent bytes, at most 64 KiB at a time, cut anywhere. */
  data(bytes: Uint8Array): Replies;
  drained?(): Replies;
  woken?(): Replies;
  closed?(reason: string): void | Promise<void>;
  /** What the next version has to know to go on with this connection; null: it stays with this one. */
  save?(): Uint8Array | null;
  /** Go on with what an earlier version saved; an exception leaves it with that version. */
  restore?(arrival: Arrival, saved: Uint8Array): Replies;
}

/** Something on a connection; what it throws is logged and closes it. */
export function reply(handle: () => Replies) {
  try {
    return packed(settle(handle()));
  } catch (error) {
    log.error("the connection is closed:", error);
    return packed({ close: "internal error" });
  }
}

export function closed(plugin: Socket, reason: string): void {
  try {
    settle(plugin.closed?.(reason));
  } catch (error) {
    log.error("the end of a connection failed:", error);
  }
}

export function save(plugin: Socket): Uint8Array | null {
  try {
    return plugin.save?.() ?? null;
  } catch (error) {
    log.error("the connection is not handed over:", error);
    return null;
  }
}

export function restore(plugin: Socket, arrival: Arrival, saved: Uint8Array) {
  if (plugin.restore === undefined) throw "it goes on with nothing that was saved";
  try {
    return packed(settle(plugin.restore(arrival, saved)));
  } catch (error) {
    log.error("the connection is not taken over:", error);
    throw String(error);
  }
}

function packed(reply: Reply | void) {
  const { send = "", tellDrained = false, wakeMs = null, close = null } = reply ?? {};
  return { send: bytesOf(send), tellDrained, wakeMs, close };
}
