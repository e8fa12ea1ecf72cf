/* Counts the events of a topic by their type, and answers `GET /{{name}}?type=w` with a count. */
#include "trellis.h"

/* A message that failed is named; those before it are done. */
trellis_outcome trellis_on_batch(trellis_batch *batch) {
  trellis_store store;
  trellis_outcome outcome = trellis_done();
  if (!trellis_store_open("default", &store)) return trellis_retry(0, trellis_error());
  for (trellis_message message; outcome.action == TRELLIS_DONE && trellis_next(batch, &message);) {
    trellis_bytes type = trellis_json_text(message.value, "type");
    int64_t sum;
    if (!type.data) {
      outcome = trellis_dead_letter(message.index, "an event is an object with a `type`");
    } else if (!trellis_store_increment(&store, type, 1, &sum)) {
      outcome = trellis_retry(message.index, trellis_error());
    }
  }
  trellis_store_close(&store);
  return outcome;
}

trellis_response trellis_on_request(const trellis_request *request) {
  trellis_store store;
  int64_t count = 0;
  bool done = trellis_store_open("default", &store);
  if (done) {
    done = trellis_store_increment(&store, trellis_query(request, "type"), 0, &count);
    trellis_store_close(&store);
  }
  if (!done) {
    trellis_log(TRELLIS_ERROR, "%s", trellis_error());
    return trellis_text(500, trellis_str("internal error"));
  }
  return trellis_text(200, trellis_format("%lld", (long long)count));
}
