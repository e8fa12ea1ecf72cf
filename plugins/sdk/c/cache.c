/* Values that may be forgotten at any moment. */
#include "library.h"

static bool fails(const trellis_storage_cache_error_t *error) {
  switch (error->tag) {
    case TRELLIS_STORAGE_CACHE_ERROR_INVALID:
      return trellis_fails("this is beyond the limits of the cache", from_string(error->val.invalid));
    case TRELLIS_STORAGE_CACHE_ERROR_UNAVAILABLE:
      return trellis_fails("the cache is unavailable", from_string(error->val.unavailable));
    default:
      return trellis_fails("the claim has ended", (trellis_bytes){0});
  }
}

bool trellis_cache_get(trellis_bytes key, trellis_bytes *value) {
  plugin_string_t text = to_string(key);
  plugin_option_list_u8_t found;
  trellis_storage_cache_error_t error;
  if (!trellis_storage_cache_get(&text, &found, &error)) return fails(&error);
  *value = found.is_some ? from_list(found.val) : (trellis_bytes){0};
  return true;
}

bool trellis_cache_set(trellis_bytes key, trellis_bytes value, uint64_t ttl_ms) {
  plugin_string_t text = to_string(key);
  plugin_list_u8_t bytes = to_list(value);
  trellis_storage_cache_error_t error;
  return trellis_storage_cache_set(&text, &bytes, ttl_ms, &error) || fails(&error);
}

bool trellis_cache_add(trellis_bytes key, trellis_bytes value, uint64_t ttl_ms, bool *added) {
  plugin_string_t text = to_string(key);
  plugin_list_u8_t bytes = to_list(value);
  trellis_storage_cache_error_t error;
  return trellis_storage_cache_add(&text, &bytes, ttl_ms, added, &error) || fails(&error);
}

bool trellis_cache_delete(trellis_bytes key) {
  plugin_string_t text = to_string(key);
  trellis_storage_cache_error_t error;
  return trellis_storage_cache_delete(&text, &error) || fails(&error);
}
