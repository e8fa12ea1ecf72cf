/** Channels, who is in them, and mailboxes for clients that poll. Needs `[needs.channels]`. */

import * as wit from "trellis:streaming/channels@0.1.0";
import * as mail from "trellis:streaming/mailboxes@0.1.0";
import * as who from "trellis:streaming/presence@0.1.0";
import type { Connection } from "trellis:streaming/types@0.1.0";
import { type Frame, type Start, fromWit, startOf, toWit } from "./frames.js";
import { told } from "./host.js";

const publish = told("channels", wit.publish);
const join = told("channels", wit.join);
const send = told("channels", wit.send);
const recent = told("channels", wit.recent);
const read = told("mailboxes", mail.read);

export const channels = {
  /** Hand a frame to all who joined, and keep it for those who come. */
  publish: (channel: string, frame: Frame): void => publish(channel, toWit(frame)),
  /** Let a connection hear a channel. */
  join: (connection: Connection, channel: string, start: Start = "next"): void =>
    join(connection, channel, startOf(start)),
  leave: told("channels", wit.leave),
  /** Send a frame to one connection. */
  send: (connection: Connection, frame: Frame): void => send(connection, toWit(frame)),
  /** End a connection, behind what was sent to it before. */
  close: told("channels", wit.close),
  /** Replace what comes with each event of the connection. */
  retag: told("channels", wit.retag),
  tag: told("channels", wit.tag),
  /** Bytes that were sent to a connection and that it has not taken yet. */
  buffered: told("channels", wit.buffered),
  /** What plays, for players that show it. */
  title: told("channels", wit.title),
  /** The connections of this host that hear a channel. */
  listeners: told("channels", wit.listeners),
  /** The last frames that a channel keeps, the oldest first. */
  recent: (channel: string, most: number): Frame[] => recent(channel, most).map(fromWit),
};

/** Who is shown in a channel. */
export const presence = {
  show: told("presence", who.show),
  hide: told("presence", who.hide),
  who: told("presence", who.who),
};

/** Connections without a socket: frames wait until a request fetches them. */
export const mailboxes = {
  open: told("mailboxes", mail.open),
  /** Take at most `most` frames, and wait `waitMs` for the first; null where it has ended. */
  read(connection: Connection, most: number, waitMs: number): Frame[] | null {
    return read(connection, most, waitMs)?.map(fromWit) ?? null;
  },
};
