/* Reads and writes the byte layouts that trellis:http and trellis:kafka describe. All integers are
 * little endian; a text is a u32 length and as many bytes; 0xffffffff stands for null. */
#ifndef TRELLIS_PACKED_H
#define TRELLIS_PACKED_H

#include <string.h>

#include "trellis.h"

#define PACKED_VERSION 1
#define PACKED_NULL UINT32_MAX

/* What is yet to be read. The first thing that does not follow the layout breaks it: nothing more
 * is read. */
typedef struct {
  const uint8_t *at;
  size_t left;
  bool broken;
} packed_reader;

static inline packed_reader packed_read(trellis_bytes bytes) {
  return (packed_reader){bytes.data, bytes.size, false};
}

/* NULL where there are not as many. */
static inline const uint8_t *packed_take(packed_reader *reader, size_t size) {
  if (reader->broken || size > reader->left) {
    reader->broken = true;
    return NULL;
  }
  const uint8_t *taken = reader->at;
  reader->at += size;
  reader->left -= size;
  return taken;
}

static inline uint64_t packed_number(packed_reader *reader, size_t size) {
  const uint8_t *bytes = packed_take(reader, size);
  uint64_t number = 0;
  if (bytes) memcpy(&number, bytes, size);
  return number;
}

static inline uint32_t packed_u32(packed_reader *reader) { return (uint32_t)packed_number(reader, 4); }

static inline trellis_bytes packed_bytes(packed_reader *reader) {
  size_t size = packed_u32(reader);
  const uint8_t *data = packed_take(reader, size);
  return (trellis_bytes){data, data ? size : 0};
}

static inline trellis_bytes packed_optional(packed_reader *reader) {
  packed_reader peek = *reader;
  if (packed_u32(&peek) == PACKED_NULL && !peek.broken) {
    *reader = peek;
    return (trellis_bytes){0};
  }
  return packed_bytes(reader);
}

/* Writing, into memory that was measured before. */
static inline uint8_t *packed_put(uint8_t *out, const void *bytes, size_t size) {
  if (size) memcpy(out, bytes, size);
  return out + size;
}

static inline uint8_t *packed_put_u32(uint8_t *out, uint32_t number) { return packed_put(out, &number, 4); }

static inline uint8_t *packed_put_bytes(uint8_t *out, trellis_bytes bytes) {
  return packed_put(packed_put_u32(out, (uint32_t)bytes.size), bytes.data, bytes.size);
}

static inline uint8_t *packed_put_optional(uint8_t *out, trellis_bytes bytes) {
  return bytes.data ? packed_put_bytes(out, bytes) : packed_put_u32(out, PACKED_NULL);
}

/* Read what the host hands over; false where it does not follow the layout. */
bool trellis_parse_request(trellis_bytes head, trellis_request *request);
bool trellis_parse_batch(trellis_bytes bytes, trellis_batch *batch);

#endif
