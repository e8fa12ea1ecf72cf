/** Counts the events of a topic by their type, and answers `GET /{{name}}?type=w` with a count. */

import { deadLetter, keyvalue, plugin, text } from "trellis";

export default plugin({
  /** What throws is tried again; `deadLetter` puts a message aside for good. */
  consume(batch) {
    const store = keyvalue.open("default");
    batch.each((message) => {
      const event = /** @type {null | { type?: unknown }} */ (message.json());
      if (typeof event?.type !== "string") throw deadLetter(message, "it has no type");
      store.increment(event.type);
    });
  },

  http(request) {
    const type = request.query.get("type") ?? "";
    return text(String(keyvalue.open("default").increment(type, 0)));
  },
});
