/** What a plugin is made of: a handler for each table of its manifest that runs it. */

import type { Trigger } from "trellis/manifest";
import type { Connections } from "./connection.js";
import type { ConsumeHandler } from "./consumer.js";
import type { HttpHandler } from "./http.js";
import { log } from "./log.js";
import { settle } from "./promise.js";
import type { Socket } from "./socket.js";

/** What is to be done. */
export interface Job {
  /** Identifies the run in the log. */
  id: string;
  /** The `name` of the `[[schedule]]` table. */
  name: string;
  /** When the run was due, in milliseconds since 1970. */
  dueMs: number;
  /** Counts the runs that were begun for the same due time, from 1. */
  attempt: number;
  payload: Uint8Array;
}

/** Hooks around a generation; all may be left out. */
export interface Lifecycle {
  /** Before it goes live, with what `save` of the one before returned. An exception keeps the old one serving. */
  start?(saved: Uint8Array | null): void | Promise<void>;
  /**
   * Before the next generation starts; the bytes, at most 16 MiB, are handed to it. An exception keeps this one
   * serving.
   */
  save?(): Uint8Array;
  /** After the last call. */
  stop?(): void | Promise<void>;
}

/** The handlers, each beside the table of the manifest that runs it. */
export interface Handlers {
  /** `[http]` */
  http: HttpHandler;
  /** `[[consume]]` */
  consume: ConsumeHandler;
  /** `[connect]` */
  connections: Connections;
  /** `[[listen]]` */
  socket: Socket;
  /** `[[schedule]]` */
  job: (job: Job) => void | Promise<void>;
}

/** A plugin has a handler for each table that its manifest has. */
export type Plugin = Pick<Handlers, Trigger> & Partial<Handlers> & { lifecycle?: Lifecycle };

/** The plugin, for `export default`. It tells an editor what each handler is given. */
export function plugin(it: Plugin): Plugin {
  return it;
}

/** One run of a job; what it throws is what the host is told. */
export function run(handler: Handlers["job"], job: Job): void {
  try {
    settle(handler(job));
  } catch (error) {
    log.error(`the job \`${job.name}\` failed:`, error);
    throw String(error);
  }
}

export function start(lifecycle: Lifecycle | undefined, saved: Uint8Array | null): void {
  try {
    settle(lifecycle?.start?.(saved));
  } catch (error) {
    log.error("the plugin cannot start:", error);
    throw String(error);
  }
}

export function save(lifecycle: Lifecycle | undefined): Uint8Array {
  try {
    return lifecycle?.save?.() ?? new Uint8Array();
  } catch (error) {
    log.error("the plugin cannot be saved:", error);
    throw error;
  }
}

export function stop(lifecycle: Lifecycle | undefined): void {
  try {
    settle(lifecycle?.stop?.());
  } catch (error) {
    log.error("the plugin did not stop as it should:", error);
  }
}
