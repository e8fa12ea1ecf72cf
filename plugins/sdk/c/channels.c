/* Channels: frames to all who joined, or to one. */
#include "library.h"

void trellis_to_start(trellis_start start, trellis_streaming_types_start_t *out) {
  out->tag = (uint8_t)start.kind;
  if (start.kind == TRELLIS_AFTER) {
    out->val.after = start.number;
  } else if (start.kind == TRELLIS_RECENT) {
    out->val.recent = (uint32_t)start.number;
  } else if (start.kind == TRELLIS_BURST) {
    out->val.burst = (uint32_t)start.number;
  }
}

trellis_streaming_types_frame_t trellis_to_frame(trellis_frame frame) {
  trellis_streaming_types_frame_t out = {.tag = frame.binary ? TRELLIS_STREAMING_TYPES_FRAME_BINARY
                                                             : TRELLIS_STREAMING_TYPES_FRAME_TEXT};
  if (frame.binary) {
    out.val.binary = to_list(frame.data);
  } else {
    out.val.text = to_string(frame.data);
  }
  return out;
}

trellis_frame trellis_from_frame(const trellis_streaming_types_frame_t *frame) {
  bool binary = frame->tag == TRELLIS_STREAMING_TYPES_FRAME_BINARY;
  return (trellis_frame){binary, binary ? from_list(frame->val.binary) : from_string(frame->val.text)};
}

trellis_frame trellis_text_frame(trellis_bytes text) { return (trellis_frame){false, text}; }

static bool fails(const trellis_streaming_channels_error_t *error) {
  switch (error->tag) {
    case TRELLIS_STREAMING_CHANNELS_ERROR_INVALID:
      return trellis_fails("this is beyond the limits of channels", from_string(error->val.invalid));
    case TRELLIS_STREAMING_CHANNELS_ERROR_TOO_MANY:
      return trellis_fails("the plugin has as many channels as it may", (trellis_bytes){0});
    default:
      return trellis_fails("other hosts cannot be told", from_string(error->val.unavailable));
  }
}

bool trellis_publish(trellis_bytes channel, trellis_frame frame) {
  plugin_string_t name = to_string(channel);
  trellis_streaming_channels_frame_t out = trellis_to_frame(frame);
  trellis_streaming_channels_error_t error;
  return trellis_streaming_channels_publish(&name, &out, &error) || fails(&error);
}

bool trellis_join(uint64_t connection, trellis_bytes channel, trellis_start start) {
  plugin_string_t name = to_string(channel);
  trellis_streaming_channels_start_t out;
  trellis_streaming_channels_error_t error;
  trellis_to_start(start, &out);
  return trellis_streaming_channels_join(connection, &name, &out, &error) || fails(&error);
}

void trellis_leave(uint64_t connection, trellis_bytes channel) {
  plugin_string_t name = to_string(channel);
  trellis_streaming_channels_leave(connection, &name);
}

bool trellis_send_frame(uint64_t connection, trellis_frame frame) {
  trellis_streaming_channels_frame_t out = trellis_to_frame(frame);
  trellis_streaming_channels_error_t error;
  return trellis_streaming_channels_send(connection, &out, &error) || fails(&error);
}

bool trellis_close(uint64_t connection, uint16_t code, trellis_bytes reason) {
  plugin_string_t text = to_string(reason);
  trellis_streaming_channels_error_t error;
  return trellis_streaming_channels_close(connection, code, &text, &error) || fails(&error);
}

bool trellis_retag(uint64_t connection, trellis_bytes tag) {
  plugin_string_t text = to_string(tag);
  trellis_streaming_channels_error_t error;
  return trellis_streaming_channels_retag(connection, &text, &error) || fails(&error);
}
