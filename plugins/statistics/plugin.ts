/**
 * The statistics of `plugins/counters` again: the same topic, the same answers, another language.
 *
 *   batch ─ counts (in memory) ─ store (one call of upserts)
 *   request ─ site ─ store
 */

import { type Failure, type Message, deadLetter, plugin } from "trellis";
import { Counts, NoEvent } from "./counts";
import { answer } from "./site";
import { add } from "./store";

export default plugin({
  http: answer,

  /** Count the messages of a batch, up to the first that is no event. */
  consume(batch) {
    const counts = new Counts();
    let refused: Failure | null = null;
    for (const message of batch) {
      refused = refusal(counts, message);
      if (refused !== null) break;
    }
    add(counts);
    if (refused !== null) throw refused;
  },
});

/** Count one message, or say why it is none to count. */
function refusal(counts: Counts, message: Message): Failure | null {
  try {
    counts.add(message.json(), message.timestampMs);
    return null;
  } catch (error) {
    if (!(error instanceof NoEvent) && !(error instanceof SyntaxError)) throw error;
    return deadLetter(message, new NoEvent().message);
  }
}
