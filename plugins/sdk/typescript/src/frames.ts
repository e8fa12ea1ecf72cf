/** Messages of connections and channels, as the streaming contracts know them. */

import type { WitFrame, WitStart } from "trellis:streaming/types@0.1.0";

/** One message: a text or bytes. */
export type Frame = string | Uint8Array;

/** Where a connection begins in a channel. */
export type Start = "next" | { after: number } | { recent: number } | { burst: number };

export function toWit(frame: Frame): WitFrame {
  return typeof frame === "string" ? { tag: "text", val: frame } : { tag: "binary", val: frame };
}

export function fromWit(frame: WitFrame): Frame {
  return frame.val;
}

export function startOf(start: Start): WitStart {
  if (start === "next") return { tag: "next" };
  if ("after" in start) return { tag: "after", val: start.after };
  if ("recent" in start) return { tag: "recent", val: start.recent };
  return { tag: "burst", val: start.burst };
}

/** The same for `x-trellis-start`. */
export function startText(start: Start): string {
  const wit = startOf(start);
  return wit.tag === "next" ? "next" : `${wit.tag}=${wit.val}`;
}
