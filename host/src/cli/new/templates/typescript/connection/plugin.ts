/** A room: what one says, all hear. `npx wscat -c ws://127.0.0.1:8080/{{name}}/ada` */

import { channels, plugin } from "trellis";

export default plugin({
  connections: {
    open(request) {
      return { tag: request.params.who ?? "nobody", join: { room: { recent: 10 } } };
    },

    message(event) {
      if (typeof event.frame === "string") channels.publish("room", `${event.tag}: ${event.frame}`);
    },
  },
});
