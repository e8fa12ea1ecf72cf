/* Hooks around a version of the plugin. What a plugin leaves out does nothing. */
#include "library.h"

#define ABSENT __attribute__((weak))

ABSENT const char *trellis_on_start(trellis_bytes saved) { return NULL; }
ABSENT trellis_bytes trellis_on_save(void) { return (trellis_bytes){0}; }
ABSENT void trellis_on_stop(void) {}

bool exports_trellis_plugin_lifecycle_start(plugin_list_u8_t *maybe_saved, plugin_string_t *why) {
  trellis_call_begins();
  const char *refused = trellis_on_start(maybe_saved ? from_list(*maybe_saved) : (trellis_bytes){0});
  if (refused) *why = to_string(trellis_str(refused));
  trellis_call_ends();
  return !refused;
}

void exports_trellis_plugin_lifecycle_save(plugin_list_u8_t *saved) {
  trellis_call_begins();
  *saved = to_list(trellis_on_save());
  trellis_call_ends();
}

void exports_trellis_plugin_lifecycle_stop(void) {
  trellis_call_begins();
  trellis_on_stop();
  trellis_call_ends();
}
