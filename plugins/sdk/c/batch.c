/* Batches, read from the bytes that trellis:kafka/packed-consumer describes. */
#include "packed.h"

bool trellis_parse_batch(trellis_bytes bytes, trellis_batch *batch) {
  packed_reader reader = packed_read(bytes);
  if (packed_number(&reader, 1) != PACKED_VERSION) return false;
  packed_take(&reader, 3);
  batch->count = packed_u32(&reader);
  batch->partition = packed_u32(&reader);
  batch->behind = packed_number(&reader, 8);
  batch->topic = packed_bytes(&reader);
  batch->rest = (trellis_bytes){reader.at, reader.left};
  return !reader.broken;
}

bool trellis_next(trellis_batch *batch, trellis_message *message) {
  if (batch->broken || batch->next == batch->count) return false;
  packed_reader reader = packed_read(batch->rest);
  packed_reader record = packed_read(packed_bytes(&reader));
  message->offset = packed_number(&record, 8);
  message->time_ms = (int64_t)packed_number(&record, 8);
  message->key = packed_optional(&record);
  message->value = packed_optional(&record);
  message->header_count = packed_u32(&record);
  message->rest = (trellis_bytes){record.at, record.left};
  if (reader.broken || record.broken) {
    batch->broken = true;
    return false;
  }
  message->index = batch->next++;
  batch->rest = (trellis_bytes){reader.at, reader.left};
  return true;
}

trellis_bytes trellis_message_header(const trellis_message *message, const char *name) {
  packed_reader reader = packed_read(message->rest);
  for (uint32_t at = 0; at < message->header_count && !reader.broken; at++) {
    trellis_bytes found = packed_bytes(&reader);
    trellis_bytes value = packed_optional(&reader);
    if (trellis_is(found, name)) return value;
  }
  return (trellis_bytes){0};
}
