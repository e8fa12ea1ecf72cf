/* What the files of the library share. */
#ifndef TRELLIS_LIBRARY_H
#define TRELLIS_LIBRARY_H

#include "bindings/plugin.h"
#include "trellis.h"

/* Each export begins and ends with these. What is allocated after the end of a call belongs to the
 * next one. */
void trellis_call_begins(void);
void trellis_call_ends(void);

/* Remember why something failed; false, to be returned. */
bool trellis_fails(const char *what, trellis_bytes why);

/* Between the host's strings and lists and ours: they share the memory. */
static inline trellis_bytes from_string(plugin_string_t text) {
  return (trellis_bytes){text.ptr, text.len};
}
static inline plugin_string_t to_string(trellis_bytes text) {
  return (plugin_string_t){(uint8_t *)text.data, text.size};
}
static inline trellis_bytes from_list(plugin_list_u8_t list) {
  /* Even without bytes it is there. */
  return (trellis_bytes){list.ptr ? list.ptr : (const uint8_t *)"", list.len};
}
static inline plugin_list_u8_t to_list(trellis_bytes bytes) {
  return (plugin_list_u8_t){(uint8_t *)bytes.data, bytes.size};
}
plugin_list_tuple2_string_string_t trellis_to_pairs(const trellis_pair *pairs, size_t count);
const trellis_pair *trellis_from_pairs(plugin_list_tuple2_string_string_t pairs);

/* Between the host's frames and ours: they share the memory. */
void trellis_to_start(trellis_start start, trellis_streaming_types_start_t *out);
trellis_streaming_types_frame_t trellis_to_frame(trellis_frame frame);
trellis_frame trellis_from_frame(const trellis_streaming_types_frame_t *frame);

#endif
