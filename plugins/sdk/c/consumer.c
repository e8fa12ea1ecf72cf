/* Messages: the packed consumer. */
#include "library.h"
#include "packed.h"

trellis_outcome trellis_done(void) { return (trellis_outcome){.action = TRELLIS_DONE}; }

trellis_outcome trellis_retry(uint32_t index, const char *reason) {
  return (trellis_outcome){TRELLIS_RETRY, index, trellis_str(reason), 0};
}

trellis_outcome trellis_dead_letter(uint32_t index, const char *reason) {
  return (trellis_outcome){TRELLIS_DEAD_LETTER, index, trellis_str(reason), 0};
}

static trellis_outcome handle(trellis_bytes bytes) {
  trellis_batch batch = {0};
  if (!trellis_parse_batch(bytes, &batch)) {
    return trellis_retry(0, "the batch does not follow the layout that this library reads");
  }
  trellis_outcome outcome = trellis_on_batch(&batch);
  /* A batch that could not be read is not done, whatever the handler says. */
  return batch.broken ? trellis_dead_letter(batch.next, "the record does not follow its layout") : outcome;
}

bool exports_trellis_kafka_packed_consumer_handle(plugin_list_u8_t *batch,
                                                  exports_trellis_kafka_packed_consumer_failure_t *failure) {
  trellis_call_begins();
  trellis_outcome outcome = handle(from_list(*batch));
  if (outcome.action != TRELLIS_DONE) {
    failure->index = outcome.index;
    failure->reason = to_string(outcome.reason);
    bool dead = outcome.action == TRELLIS_DEAD_LETTER;
    failure->action.tag = dead ? TRELLIS_KAFKA_TYPES_FAILURE_ACTION_DEAD_LETTER
                               : TRELLIS_KAFKA_TYPES_FAILURE_ACTION_RETRY;
    failure->action.val.retry.is_some = !dead && outcome.after_ms;
    failure->action.val.retry.val = outcome.after_ms;
  }
  trellis_call_ends();
  return outcome.action == TRELLIS_DONE;
}
