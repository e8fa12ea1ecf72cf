/* Jobs: work that the host starts by the clock. */
#include "library.h"

bool exports_trellis_jobs_job_handler_run(exports_trellis_jobs_job_handler_job_t *from, plugin_string_t *why) {
  trellis_call_begins();
  trellis_job job = {from_string(from->id), from_string(from->name), from_list(from->payload), from->due_ms,
                     from->attempt};
  const char *failed = trellis_on_job(&job);
  if (failed) *why = to_string(trellis_str(failed));
  trellis_call_ends();
  return !failed;
}
