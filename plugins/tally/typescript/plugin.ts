/** Counts the events of a topic by their type, exactly once, and answers with the counts. */

import { type Failure, type Message, deadLetter, json, plugin, sql } from "trellis";

const ADD = `INSERT INTO tally (type, events) VALUES ($1, $2)
  ON CONFLICT (type) DO UPDATE SET events = tally.events + excluded.events`;

export default plugin({
  /**
   * Add up a batch in memory, so that each type is written once for all its messages. Those before the first that is
   * no event are stored; that one is put aside.
   */
  consume(batch) {
    const counts = new Map<string, number>();
    let refused: Failure | null = null;
    for (const message of batch) {
      const type = typeOf(message);
      if (type === null) {
        refused = deadLetter(message, "an event is an object with a `type`");
        break;
      }
      counts.set(type, (counts.get(type) ?? 0) + 1);
    }
    sql.batch([...counts].map(([type, events]) => [ADD, type, events]));
    if (refused !== null) throw refused;
  },

  /** All counts: `{"w":3}`. */
  http() {
    const rows = sql.query<{ type: string; events: number }>("SELECT type, events FROM tally ORDER BY type");
    return json(Object.fromEntries(rows.map(({ type, events }) => [type, events])));
  },
});

/** The type of an event; null for what is none. */
function typeOf(message: Message): string | null {
  try {
    const event = message.json<{ type?: unknown } | null>();
    return typeof event?.type === "string" && event.type !== "" ? event.type : null;
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}
