/* What every plugin may do: lines in the log, settings, numbers. */
#include <stdarg.h>
#include <stdio.h>

#include "library.h"

/* The longest line in bytes; what is longer is cut. */
#define LINE 4096

void trellis_log(trellis_level level, const char *format, ...) {
  char line[LINE];
  va_list args;
  va_start(args, format);
  int size = vsnprintf(line, sizeof line, format, args);
  va_end(args);
  if (size < 0) return;
  if (size >= LINE) size = LINE - 1;
  plugin_string_t context = {(uint8_t *)"", 0}, message = {(uint8_t *)line, (size_t)size};
  wasi_logging_logging_log((wasi_logging_logging_level_t)level, &context, &message);
}

trellis_bytes trellis_config(const char *key) {
  plugin_string_t text = to_string(trellis_str(key));
  plugin_option_string_t found;
  wasi_config_store_error_t error;
  if (!wasi_config_store_get(&text, &found, &error)) {
    trellis_log(TRELLIS_ERROR, "the setting `%s` could not be read", key);
    return (trellis_bytes){0};
  }
  return found.is_some ? from_string(found.val) : (trellis_bytes){0};
}

static trellis_plugin_metrics_list_label_t labels_of(const trellis_pair *pairs, size_t count) {
  trellis_plugin_metrics_list_label_t labels = {trellis_alloc(count * sizeof *labels.ptr), count};
  for (size_t at = 0; at < count; at++) {
    labels.ptr[at].f0 = to_string(pairs[at].name);
    labels.ptr[at].f1 = to_string(pairs[at].value);
  }
  return labels;
}

void trellis_count(const char *name, uint64_t by, const trellis_pair *pairs, size_t count) {
  plugin_string_t text = to_string(trellis_str(name));
  trellis_plugin_metrics_list_label_t labels = labels_of(pairs, count);
  trellis_plugin_metrics_count(&text, &labels, by);
}

void trellis_gauge(const char *name, double value, const trellis_pair *pairs, size_t count) {
  plugin_string_t text = to_string(trellis_str(name));
  trellis_plugin_metrics_list_label_t labels = labels_of(pairs, count);
  trellis_plugin_metrics_gauge(&text, &labels, value);
}

void trellis_observe(const char *name, double value, const trellis_pair *pairs, size_t count) {
  plugin_string_t text = to_string(trellis_str(name));
  trellis_plugin_metrics_list_label_t labels = labels_of(pairs, count);
  trellis_plugin_metrics_observe(&text, &labels, value);
}
