/* Requests, read from the bytes that trellis:http/packed-handler describes. */
#include "packed.h"

/* A name and a value take so many bytes at least, so a count that cannot be true is refused before
 * anything is set aside for it. */
#define SMALLEST_PAIR 8

static const trellis_pair *pairs(packed_reader *reader, size_t count) {
  if (count > reader->left / SMALLEST_PAIR) {
    reader->broken = true;
    return NULL;
  }
  trellis_pair *found = trellis_alloc(count * sizeof *found);
  for (size_t at = 0; at < count; at++) {
    found[at].name = packed_bytes(reader);
    found[at].value = packed_bytes(reader);
  }
  return found;
}

bool trellis_parse_request(trellis_bytes head, trellis_request *request) {
  packed_reader reader = packed_read(head);
  if (packed_number(&reader, 1) != PACKED_VERSION) return false;
  uint64_t flags = packed_number(&reader, 1);
  request->https = flags & 1;
  request->param_count = packed_number(&reader, 2);
  request->header_count = packed_u32(&reader);
  request->time_ms = packed_number(&reader, 8);
  trellis_bytes *fields[] = {&request->method, &request->host,      &request->path,
                             &request->query,  &request->client_ip, &request->id};
  for (size_t at = 0; at < sizeof fields / sizeof *fields; at++) *fields[at] = packed_bytes(&reader);
  if (!(flags & 2)) request->query = (trellis_bytes){0};
  request->params = pairs(&reader, request->param_count);
  request->headers = reader.broken ? NULL : pairs(&reader, request->header_count);
  return !reader.broken;
}

static trellis_bytes find(const trellis_pair *pairs, size_t count, const char *name) {
  for (size_t at = 0; at < count; at++) {
    if (trellis_is(pairs[at].name, name)) return pairs[at].value;
  }
  return (trellis_bytes){0};
}

trellis_bytes trellis_param(const trellis_request *request, const char *name) {
  return find(request->params, request->param_count, name);
}

trellis_bytes trellis_request_header(const trellis_request *request, const char *name) {
  return find(request->headers, request->header_count, name);
}
