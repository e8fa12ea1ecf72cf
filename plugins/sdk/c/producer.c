/* Topics: the packed producer. */
#include "library.h"
#include "packed.h"

#define BY_KEY UINT32_MAX

trellis_record trellis_to(const char *topic, trellis_bytes key, trellis_bytes value) {
  return (trellis_record){.topic = trellis_str(topic), .key = key, .value = value, .partition = -1};
}

/* The bytes of a record behind its own length. */
static size_t size_of(const trellis_record *record) {
  size_t size = 4 + 8 + 3 * 4 + 4 + record->topic.size + record->key.size + record->value.size;
  for (size_t at = 0; at < record->header_count; at++) {
    size += 8 + record->headers[at].name.size + record->headers[at].value.size;
  }
  return size;
}

static uint8_t *put(uint8_t *out, const trellis_record *record) {
  int64_t time = record->time_ms ? record->time_ms : -1;
  out = packed_put_u32(out, (uint32_t)size_of(record));
  out = packed_put_u32(out, record->partition < 0 ? BY_KEY : (uint32_t)record->partition);
  out = packed_put(out, &time, 8);
  out = packed_put_bytes(out, record->topic);
  out = packed_put_optional(packed_put_optional(out, record->key), record->value);
  out = packed_put_u32(out, (uint32_t)record->header_count);
  for (size_t at = 0; at < record->header_count; at++) {
    out = packed_put_optional(packed_put_bytes(out, record->headers[at].name), record->headers[at].value);
  }
  return out;
}

static plugin_list_u8_t pack(const trellis_record *records, size_t count) {
  size_t size = 8;
  for (size_t at = 0; at < count; at++) size += 4 + size_of(&records[at]);
  uint8_t *packed = trellis_alloc(size);
  uint8_t *out = packed_put_u32(packed, PACKED_VERSION);
  out = packed_put_u32(out, (uint32_t)count);
  for (size_t at = 0; at < count; at++) out = put(out, &records[at]);
  return (plugin_list_u8_t){packed, size};
}

static bool fails(const trellis_kafka_packed_producer_send_error_t *error) {
  switch (error->tag) {
    case TRELLIS_KAFKA_TYPES_SEND_ERROR_NOT_GRANTED:
      return trellis_fails("the topic was not granted", from_string(error->val.not_granted));
    case TRELLIS_KAFKA_TYPES_SEND_ERROR_UNKNOWN_TOPIC:
      return trellis_fails("there is no such topic", from_string(error->val.unknown_topic));
    case TRELLIS_KAFKA_TYPES_SEND_ERROR_UNKNOWN_PARTITION:
      return trellis_fails("there is no such partition", (trellis_bytes){0});
    case TRELLIS_KAFKA_TYPES_SEND_ERROR_TOO_LARGE:
      return trellis_fails("the record is larger than the topic allows", (trellis_bytes){0});
    case TRELLIS_KAFKA_TYPES_SEND_ERROR_UNAVAILABLE:
      return trellis_fails("the log is unavailable", from_string(error->val.unavailable));
    default:
      return trellis_fails("the records are malformed", from_string(error->val.malformed));
  }
}

typedef bool sending(plugin_list_u8_t *, trellis_kafka_packed_producer_list_rejected_t *,
                     trellis_kafka_packed_producer_send_error_t *);

static bool send_by(sending *by, const trellis_record *records, size_t count) {
  if (!count) return true;
  plugin_list_u8_t packed = pack(records, count);
  trellis_kafka_packed_producer_list_rejected_t rejected;
  trellis_kafka_packed_producer_send_error_t error;
  if (!by(&packed, &rejected, &error)) return fails(&error);
  return rejected.len == 0 || fails(&rejected.ptr[0].error);
}

bool trellis_send(const trellis_record *records, size_t count) {
  return send_by(trellis_kafka_packed_producer_send, records, count);
}

bool trellis_send_ahead(const trellis_record *records, size_t count) {
  return send_by(trellis_kafka_packed_producer_send_ahead, records, count);
}
