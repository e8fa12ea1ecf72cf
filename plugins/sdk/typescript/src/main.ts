/** What the host calls. Of these the component exports what the plugin's world has. */

import "./globals.js";
import { triggers } from "trellis/manifest";
import it from "trellis/plugin";
import * as connection from "./connection.js";
import { consume } from "./consumer.js";
import { serve } from "./http.js";
import { begin } from "./log.js";
import { type Handlers, type Job, type Plugin, run, save, start, stop } from "./plugin.js";
import * as sockets from "./socket.js";

/** The table of the manifest behind each handler. */
const TABLES = { http: "[http]", consume: "[[consume]]", connections: "[connect]", socket: "[[listen]]", job: "[[schedule]]" };

for (const trigger of triggers) {
  if ((it as Partial<Handlers> | undefined)?.[trigger] === undefined) {
    throw new Error(`plugin.toml has ${TABLES[trigger]}, but the plugin has no \`${trigger}\``);
  }
}

/** All that the manifest asks for is there, which was looked at above. */
const handlers = it as Handlers & Plugin;

/** A function of ours for the host to call. */
function called<A extends unknown[], R>(f: (...args: A) => R): (...args: A) => R {
  return (...args) => {
    begin();
    return f(...args);
  };
}

export const packedHandler = {
  handle(head: Uint8Array, body: Uint8Array) {
    begin();
    return serve(handlers.http, head, body);
  },
};

export const packedConsumer = {
  handle(batch: Uint8Array) {
    begin();
    consume(handlers.consume, batch);
  },
};

export const connectionHandler = {
  open: called((request: connection.WitKnock) => connection.open(handlers.connections, request)),
  events: called((batch: connection.WitEvent[]) => connection.events(handlers.connections, batch)),
};

export const socketHandler = {
  open: called((arrival: sockets.Arrival) => sockets.reply(() => handlers.socket.open(arrival))),
  data: called((bytes: Uint8Array) => sockets.reply(() => handlers.socket.data(bytes))),
  drained: called(() => sockets.reply(() => handlers.socket.drained?.())),
  woken: called(() => sockets.reply(() => handlers.socket.woken?.())),
  closed: called((reason: string) => sockets.closed(handlers.socket, reason)),
  save: called(() => sockets.save(handlers.socket)),
  restore: called((arrival: sockets.Arrival, saved: Uint8Array) => sockets.restore(handlers.socket, arrival, saved)),
};

export const jobHandler = {
  run: called((job: Job) => run(handlers.job, job)),
};

export const lifecycle = {
  start: called((saved: Uint8Array | null) => start(handlers.lifecycle, saved)),
  save: called(() => save(handlers.lifecycle)),
  stop: called(() => stop(handlers.lifecycle)),
};
