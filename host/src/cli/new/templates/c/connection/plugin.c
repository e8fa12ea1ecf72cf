/* A room: what one says, all hear. `npx wscat -c ws://127.0.0.1:8080/{{name}}/ada` */
#include "trellis.h"

trellis_decision trellis_on_open(const trellis_knock *knock) {
  return (trellis_decision){
      .tag = trellis_param(&knock->request, "who"),
      .channel = trellis_str("room"),
      .start = {TRELLIS_RECENT, 10},
  };
}

void trellis_on_events(const trellis_event *events, size_t count) {
  for (size_t at = 0; at < count; at++) {
    if (events[at].closed || events[at].frame.binary) continue;
    trellis_bytes line = trellis_format("%.*s: %.*s", TRELLIS_ARG(events[at].tag), TRELLIS_ARG(events[at].frame.data));
    if (!trellis_publish(trellis_str("room"), trellis_text_frame(line))) {
      trellis_log(TRELLIS_WARN, "nobody heard it: %s", trellis_error());
    }
  }
}
