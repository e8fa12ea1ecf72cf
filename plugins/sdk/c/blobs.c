/* Bytes under a key in a container of the plugin's own. */
#include "library.h"

/* The most entries of a page. */
#define PAGE 1000

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

bool trellis_blob_read(const char *container, trellis_bytes key, uint64_t offset, uint32_t size, trellis_bytes *body) {
  plugin_string_t where = to_string(trellis_str(container)), name = to_string(key);
  plugin_option_list_u8_t found;
  trellis_storage_blobs_error_t error;
  if (!trellis_storage_blobs_read(&where, &name, offset, size, &found, &error)) return fails(&error);
  *body = found.is_some ? from_list(found.val) : (trellis_bytes){0};
  return true;
}

bool trellis_blob_list(const char *container, trellis_bytes prefix, trellis_bytes after,
                       const trellis_blob_entry **entries, size_t *count) {
  plugin_string_t where = to_string(trellis_str(container)), begins = to_string(prefix), from = to_string(after);
  plugin_string_t *start = after.data ? &from : NULL;
  trellis_storage_blobs_list_entry_t found;
  trellis_storage_blobs_error_t error;
  if (!trellis_storage_blobs_list(&where, &begins, start, PAGE, &found, &error)) return fails(&error);
  trellis_blob_entry *list = trellis_alloc(found.len * sizeof *list);
  for (size_t at = 0; at < found.len; at++) {
    const trellis_storage_blobs_info_t *info = &found.ptr[at].info;
    list[at] = (trellis_blob_entry){.key = from_string(found.ptr[at].key),
                                    .etag = from_string(info->etag),
                                    .size = info->size,
                                    .modified_ms = info->modified_ms};
    if (info->content_type.is_some) list[at].content_type = from_string(info->content_type.val);
  }
  *entries = list;
  *count = found.len;
  return true;
}

bool trellis_blob_delete(const char *container, trellis_bytes key) {
  plugin_string_t where = to_string(trellis_str(container)), name = to_string(key);
  trellis_storage_blobs_error_t error;
  return trellis_storage_blobs_delete(&where, &name, &error) || fails(&error);
}
