/** Greets whoever asks: `GET /{{name}}/ada`. */

import { json, plugin } from "trellis";

export default plugin({
  http(request) {
    return json({ hello: request.params.who ?? "world" });
  },
});
