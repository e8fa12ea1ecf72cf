/* Protocols of your own over TCP. What a plugin leaves out does nothing. */
#include "library.h"

#define ABSENT __attribute__((weak))

ABSENT trellis_reply trellis_on_arrival(const trellis_arrival *arrival) { return (trellis_reply){0}; }
ABSENT trellis_reply trellis_on_data(trellis_bytes bytes) { return (trellis_reply){0}; }
ABSENT trellis_reply trellis_on_drained(void) { return (trellis_reply){0}; }
ABSENT trellis_reply trellis_on_woken(void) { return (trellis_reply){0}; }
ABSENT void trellis_on_closed(trellis_bytes reason) {}
ABSENT bool trellis_on_connection_save(trellis_bytes *saved) { return false; }
ABSENT bool trellis_on_connection_restore(const trellis_arrival *arrival, trellis_bytes saved,
                                          trellis_reply *reply) {
  return false;
}

typedef exports_trellis_streaming_socket_handler_arrival_t host_arrival;
typedef exports_trellis_streaming_socket_handler_reply_t host_reply;

static trellis_arrival from_arrival(const host_arrival *arrival) {
  return (trellis_arrival){arrival->connection, from_string(arrival->listener), from_string(arrival->client_ip),
                           arrival->client_port, arrival->time_ms};
}

static void answer(trellis_reply reply, host_reply *out) {
  *out = (host_reply){.send = to_list(reply.send), .tell_drained = reply.tell_drained};
  out->wake_ms.is_some = reply.wake_ms;
  out->wake_ms.val = reply.wake_ms;
  out->close.is_some = reply.close;
  out->close.val = to_string(reply.reason);
  trellis_call_ends();
}

void exports_trellis_streaming_socket_handler_open(host_arrival *arrival, host_reply *out) {
  trellis_call_begins();
  trellis_arrival who = from_arrival(arrival);
  answer(trellis_on_arrival(&who), out);
}

void exports_trellis_streaming_socket_handler_data(plugin_list_u8_t *bytes, host_reply *out) {
  trellis_call_begins();
  answer(trellis_on_data(from_list(*bytes)), out);
}

void exports_trellis_streaming_socket_handler_drained(host_reply *out) {
  trellis_call_begins();
  answer(trellis_on_drained(), out);
}

void exports_trellis_streaming_socket_handler_woken(host_reply *out) {
  trellis_call_begins();
  answer(trellis_on_woken(), out);
}

void exports_trellis_streaming_socket_handler_closed(plugin_string_t *reason) {
  trellis_call_begins();
  trellis_on_closed(from_string(*reason));
  trellis_call_ends();
}

bool exports_trellis_streaming_socket_handler_save(plugin_list_u8_t *out) {
  trellis_call_begins();
  trellis_bytes saved = {0};
  bool goes_on = trellis_on_connection_save(&saved);
  *out = to_list(saved);
  trellis_call_ends();
  return goes_on;
}

bool exports_trellis_streaming_socket_handler_restore(host_arrival *arrival, plugin_list_u8_t *saved,
                                                      host_reply *out, plugin_string_t *why) {
  trellis_call_begins();
  trellis_arrival who = from_arrival(arrival);
  trellis_reply reply = {0};
  bool goes_on = trellis_on_connection_restore(&who, from_list(*saved), &reply);
  *why = to_string(trellis_str("it goes on with nothing that was saved"));
  answer(reply, out);
  return goes_on;
}
