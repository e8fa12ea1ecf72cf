/* Connections: who is let in, and what came. */
#include "library.h"

typedef exports_trellis_streaming_connection_handler_request_t host_request;

static trellis_knock knock(const host_request *from) {
  trellis_knock knock = {.connection = from->connection, .transport = (trellis_transport)from->transport};
  trellis_request *to = &knock.request;
  to->method = trellis_str("GET");
  to->host = from_string(from->host);
  to->path = from_string(from->path);
  if (from->query.is_some) to->query = from_string(from->query.val);
  to->client_ip = from_string(from->client_ip);
  to->id = from_string(from->id);
  to->time_ms = from->time_ms;
  to->params = trellis_from_pairs(from->params);
  to->param_count = from->params.len;
  to->headers = trellis_from_pairs(from->headers);
  to->header_count = from->headers.len;
  return knock;
}

bool exports_trellis_streaming_connection_handler_open(
    exports_trellis_streaming_connection_handler_request_t *request,
    exports_trellis_streaming_connection_handler_accepted_t *accepted,
    exports_trellis_streaming_connection_handler_refused_t *refused) {
  trellis_call_begins();
  trellis_knock who = knock(request);
  trellis_decision decision = trellis_on_open(&who);
  if (decision.refused) {
    trellis_pair type = {trellis_str("content-type"), trellis_str("text/plain; charset=utf-8")};
    *refused = (exports_trellis_streaming_connection_handler_refused_t){
        .status = decision.refused, .headers = trellis_to_pairs(&type, 1), .body = to_list(decision.reason)};
  } else {
    *accepted = (exports_trellis_streaming_connection_handler_accepted_t){.tag = to_string(decision.tag)};
    if (decision.channel.data) {
      exports_trellis_streaming_connection_handler_tuple2_string_start_t *join = trellis_alloc(sizeof *join);
      join->f0 = to_string(decision.channel);
      trellis_to_start(decision.start, &join->f1);
      accepted->join.ptr = join;
      accepted->join.len = 1;
    }
    if (decision.first.data.data) {
      trellis_streaming_types_frame_t *first = trellis_alloc(sizeof *first);
      *first = trellis_to_frame(decision.first);
      accepted->first.ptr = first;
      accepted->first.len = 1;
    }
  }
  trellis_call_ends();
  return !decision.refused;
}

static trellis_event event(const exports_trellis_streaming_connection_handler_event_t *from) {
  trellis_event event = {.connection = from->connection, .tag = from_string(from->tag)};
  event.closed = from->what.tag == EXPORTS_TRELLIS_STREAMING_CONNECTION_HANDLER_WHAT_CLOSED;
  if (event.closed) {
    event.code = from->what.val.closed.code;
    event.reason = from_string(from->what.val.closed.reason);
  } else {
    event.frame = trellis_from_frame(&from->what.val.message);
  }
  return event;
}

void exports_trellis_streaming_connection_handler_events(
    exports_trellis_streaming_connection_handler_list_event_t *batch) {
  trellis_call_begins();
  trellis_event *events = trellis_alloc(batch->len * sizeof *events);
  for (size_t at = 0; at < batch->len; at++) events[at] = event(&batch->ptr[at]);
  trellis_on_events(events, batch->len);
  trellis_call_ends();
}
