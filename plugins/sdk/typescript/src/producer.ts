/** Writing to topics. Needs `[needs.produce]`. */

import * as wit from "trellis:kafka/packed-producer@0.1.0";
import { HostError, told } from "./host.js";
import { type Outgoing, pack } from "./records.js";

/** Records that were not written; the others were. */
export class SendError extends HostError {
  override name = "SendError";
  /** Each with its index in the call. */
  readonly rejected: readonly { index: number; kind: string; message: string }[];

  constructor(rejected: wit.Rejected[]) {
    super("producer", rejected[0]?.error);
    this.rejected = rejected.map(({ index, error }) => {
      const { kind, message } = new HostError("producer", error);
      return { index, kind, message };
    });
  }
}

const sendNow = told("producer", wit.send);
const sendLater = told("producer", wit.sendAhead);

function list(records: Outgoing | readonly Outgoing[]): readonly Outgoing[] {
  return Array.isArray(records) ? records : [records as Outgoing];
}

function check(rejected: wit.Rejected[]): void {
  if (rejected.length > 0) throw new SendError(rejected);
}

export const producer = {
  /**
   * Write records and wait until they are durable. One call with many is much cheaper than many calls.
   * Limits: 10,000 records and 16 MiB.
   */
  send(records: Outgoing | readonly Outgoing[]): void {
    check(sendNow(pack(list(records))));
  },

  /** The same in an HTTP handler, without the wait: the host holds the answer back until they are durable. */
  sendAhead(records: Outgoing | readonly Outgoing[]): void {
    check(sendLater(pack(list(records))));
  },
};
