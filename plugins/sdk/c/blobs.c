/* Bytes under a key in a container of the plugin's own. */
#include "library.h"

static bool fails(const trellis_storage_blobs_error_t *error) {
  switch (error->tag) {
    case TRELLIS_STORAGE_BLOBS_ERROR_INVALID:
      return trellis_fails("the container, the key or the content type is none", from_string(error->val.invalid));
    case TRELLIS_STORAGE_BLOBS_ERROR_TOO_LARGE:
      return trellis_fails("the blob is too large for one call", from_string(error->val.too_large));
    case TRELLIS_STORAGE_BLOBS_ERROR_FULL:
      return trellis_fails("the blobs of the plugin take all the room they may", from_string(error->val.full));
    default:
      return trellis_fails("the blobs are unavailable", from_string(error->val.unavailable));
  }
}

bool trellis_blob_put(const char *container, trellis_bytes key, trellis_bytes body, const char *content_type) {
  plugin_string_t where = to_string(trellis_str(container)), name = to_string(key);
  plugin_string_t type = to_string(trellis_str(content_type ? content_type : ""));
  plugin_list_u8_t bytes = to_list(body);
  trellis_storage_blobs_info_t info;
  trellis_storage_blobs_error_t error;
  plugin_string_t *maybe = content_type ? &type : NULL;
  return trellis_storage_blobs_put(&where, &name, &bytes, maybe, &info, &error) || fails(&error);
}

bool trellis_blob_append(const char *container, trellis_bytes key, trellis_bytes more) {
  plugin_string_t where = to_string(trellis_str(container)), name = to_string(key);
  plugin_list_u8_t bytes = to_list(more);
  trellis_storage_blobs_info_t info;
  trellis_storage_blobs_error_t error;
  return trellis_storage_blobs_append(&where, &name, &bytes, &info, &error) || fails(&error);
}

bool trellis_blob_get(const char *container, trellis_bytes key, trellis_bytes *body) {
  plugin_string_t where = to_string(trellis_str(container)), name = to_string(key);
  trellis_storage_blobs_option_blob_t found;
  trellis_storage_blobs_error_t error;
  if (!trellis_storage_blobs_get(&where, &name, &found, &error)) return fails(&error);
  *body = found.is_some ? from_list(found.val.body) : (trellis_bytes){0};
  return true;
}

bool trellis_blob_delete(const char *container, trellis_bytes key) {
  plugin_string_t where = to_string(trellis_str(container)), name = to_string(key);
  trellis_storage_blobs_error_t error;
  return trellis_storage_blobs_delete(&where, &name, &error) || fails(&error);
}
