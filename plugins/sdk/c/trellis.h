/* Plugins in C: requests, batches and capabilities as C has them.
 *
 * Write the functions named trellis_on_...: those of the triggers that plugin.toml names are called
 * by the host, one call at a time.
 *
 * Memory: whatever the library hands over, and whatever trellis_alloc returned, is there until the
 * end of the call and is never freed by you. What has to last longer is copied with malloc.
 *
 * Errors: what can fail returns false, and trellis_error() says why.
 *
 * Logs: trellis_log writes a line with a level; printf and stderr reach the log of the host, too,
 * also what was written before an abort.
 */
#ifndef TRELLIS_H
#define TRELLIS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes or text, without a zero at the end. Where data is NULL there is none: null. */
typedef struct {
  const uint8_t *data;
  size_t size;
} trellis_bytes;

/* Memory for this call, aligned for everything. Never NULL: the plugin ends where there is none. */
void *trellis_alloc(size_t size);
/* The text of a C string, in place. */
trellis_bytes trellis_str(const char *text);
/* A text in the manner of printf, in this call's memory. */
trellis_bytes trellis_format(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The text with a zero behind it, in this call's memory. */
const char *trellis_cstr(trellis_bytes text);
/* Whether it is this text. */
bool trellis_is(trellis_bytes bytes, const char *text);
/* For printf: printf("%.*s", TRELLIS_ARG(bytes)). */
#define TRELLIS_ARG(bytes) (int)(bytes).size, (const char *)(bytes).data

/* Why the last function that returned false did so. */
const char *trellis_error(void);

/* A name with a value: a header, a parameter, a label. */
typedef struct {
  trellis_bytes name, value;
} trellis_pair;

/* ---- Requests: [http] ---------------------------------------------------------------------- */

typedef struct {
  trellis_bytes method, host, path, query, client_ip, id, body;
  bool https;
  uint64_t time_ms;
  const trellis_pair *params, *headers;
  size_t param_count, header_count;
} trellis_request;

typedef struct {
  /* 200 to 599; 0 is 200. */
  uint16_t status;
  trellis_bytes body;
  /* Made with trellis_header. */
  trellis_pair *headers;
  size_t header_count;
} trellis_response;

/* Yours: answer one request. */
trellis_response trellis_on_request(const trellis_request *request);

/* What the route's {name} matched, decoded; a header by its name in lower case; a value of the
 * query, decoded. All are null where there is none. */
trellis_bytes trellis_param(const trellis_request *request, const char *name);
trellis_bytes trellis_request_header(const trellis_request *request, const char *name);
trellis_bytes trellis_query(const trellis_request *request, const char *name);

/* An answer of text or JSON with this status. */
trellis_response trellis_text(uint16_t status, trellis_bytes text);
trellis_response trellis_json(uint16_t status, trellis_bytes json);
/* An answer whose body the host sends: a blob, or the frames of a channel from a start on: "next",
 * "recent=10", "burst=65536", "after=17". */
trellis_response trellis_blob(const char *container, const char *key);
trellis_response trellis_channel(const char *channel, const char *start);
/* Add a header to an answer. */
void trellis_header(trellis_response *response, const char *name, trellis_bytes value);

/* ---- Messages: [[consume]] ----------------------------------------------------------------- */

typedef struct {
  uint64_t offset;
  int64_t time_ms;
  /* Null where they are Kafka's null. */
  trellis_bytes key, value;
  /* Its place in the batch, from 0. */
  uint32_t index;
  /* The rest of the record; see trellis_message_header. */
  uint32_t header_count;
  trellis_bytes rest;
} trellis_message;

typedef struct {
  trellis_bytes topic;
  uint32_t partition, count;
  /* How many records lay beyond this batch when it was read. */
  uint64_t behind;
  /* What trellis_next has yet to read. */
  trellis_bytes rest;
  uint32_t next;
  bool broken;
} trellis_batch;

/* What became of a batch. Its zero value: all is done. */
typedef struct {
  enum { TRELLIS_DONE, TRELLIS_RETRY, TRELLIS_DEAD_LETTER } action;
  /* The message that failed. Those before it count as done and do not come again. */
  uint32_t index;
  trellis_bytes reason;
  /* For a retry: so many milliseconds from now; 0 is the back-off of the manifest. */
  uint64_t after_ms;
} trellis_outcome;

/* Yours: handle the messages of one partition in order. */
trellis_outcome trellis_on_batch(trellis_batch *batch);

/* The next message; false behind the last one. */
bool trellis_next(trellis_batch *batch, trellis_message *message);
/* The first header of this name; null where there is none or its value is. */
trellis_bytes trellis_message_header(const trellis_message *message, const char *name);
/* All is done; a message comes again with those behind it; a message goes to the dead letters. */
trellis_outcome trellis_done(void);
trellis_outcome trellis_retry(uint32_t index, const char *reason);
trellis_outcome trellis_dead_letter(uint32_t index, const char *reason);

/* ---- Connections: [connect] ---------------------------------------------------------------- */

/* One message: text or bytes. */
typedef struct {
  bool binary;
  trellis_bytes data;
} trellis_frame;

/* Where a connection begins in a channel; number goes with the last three. */
typedef struct {
  enum { TRELLIS_NEXT, TRELLIS_AFTER, TRELLIS_RECENT, TRELLIS_BURST } kind;
  uint64_t number;
} trellis_start;

typedef enum { TRELLIS_WEBSOCKET, TRELLIS_EVENT_STREAM, TRELLIS_STREAM } trellis_transport;

typedef struct {
  uint64_t connection;
  trellis_transport transport;
  /* The rest is that of a request without a body. */
  trellis_request request;
} trellis_knock;

typedef struct {
  /* 0 lets it in; else the status of the answer that refuses it, with reason as its text. */
  uint16_t refused;
  trellis_bytes reason;
  /* Comes with each event of the connection; at most 4,096 bytes. */
  trellis_bytes tag;
  /* A channel that it hears from the beginning; null for none. */
  trellis_bytes channel;
  trellis_start start;
  /* What it gets before anything else; null for nothing. */
  trellis_frame first;
} trellis_decision;

typedef struct {
  uint64_t connection;
  trellis_bytes tag;
  /* It has ended, with the code of a websocket's close and a reason. Else it sent a frame. */
  bool closed;
  uint16_t code;
  trellis_bytes reason;
  trellis_frame frame;
} trellis_event;

/* Yours: decide about a connection; handle what came on any of them. */
trellis_decision trellis_on_open(const trellis_knock *knock);
void trellis_on_events(const trellis_event *events, size_t count);

bool trellis_publish(trellis_bytes channel, trellis_frame frame);
bool trellis_join(uint64_t connection, trellis_bytes channel, trellis_start start);
void trellis_leave(uint64_t connection, trellis_bytes channel);
bool trellis_send_frame(uint64_t connection, trellis_frame frame);
bool trellis_close(uint64_t connection, uint16_t code, trellis_bytes reason);
bool trellis_retag(uint64_t connection, trellis_bytes tag);
/* A frame of text. */
trellis_frame trellis_text_frame(trellis_bytes text);

/* ---- TCP: [[listen]] ----------------------------------------------------------------------- */

typedef struct {
  uint64_t connection;
  trellis_bytes listener, client_ip;
  uint16_t client_port;
  uint64_t time_ms;
} trellis_arrival;

/* What is to happen. Its zero value: nothing. */
typedef struct {
  trellis_bytes send;
  bool tell_drained;
  /* Call trellis_on_woken so many milliseconds from now; 0 changes nothing. */
  uint32_t wake_ms;
  /* Close once all has been sent, with a reason for people. */
  bool close;
  trellis_bytes reason;
} trellis_reply;

/* Yours: a connection has an instance of its own, so its state is in static variables. Those that
 * you leave out do nothing. What trellis_on_connection_save says is handed to
 * trellis_on_connection_restore of the next version, which is called instead of trellis_on_arrival;
 * false of either leaves the connection with the version that it has. */
trellis_reply trellis_on_arrival(const trellis_arrival *arrival);
trellis_reply trellis_on_data(trellis_bytes bytes);
trellis_reply trellis_on_drained(void);
trellis_reply trellis_on_woken(void);
void trellis_on_closed(trellis_bytes reason);
bool trellis_on_connection_save(trellis_bytes *saved);
bool trellis_on_connection_restore(const trellis_arrival *arrival, trellis_bytes saved, trellis_reply *reply);

/* ---- Jobs: [[schedule]] -------------------------------------------------------------------- */

typedef struct {
  trellis_bytes id, name, payload;
  uint64_t due_ms;
  uint32_t attempt;
} trellis_job;

/* Yours: do it; NULL, or why it failed. */
const char *trellis_on_job(const trellis_job *job);

/* ---- Life of a version --------------------------------------------------------------------- */

/* Yours, and none has to be there. They run in the version's first instance, whose static variables
 * are the plugin's state where `[limits] concurrency = 1`.
 *
 * Before it goes live, with what trellis_on_save of the version before said, null where there was
 * none: NULL, or why it does not start, so that the version before goes on. */
const char *trellis_on_start(trellis_bytes saved);
/* Before the next version starts, which is handed the bytes; at most 16 MiB. */
trellis_bytes trellis_on_save(void);
/* After the last call. */
void trellis_on_stop(void);

/* ---- Topics: [needs.produce] --------------------------------------------------------------- */

typedef struct {
  trellis_bytes topic, key, value;
  const trellis_pair *headers;
  size_t header_count;
  /* -1: by the key. */
  int64_t partition;
  /* 0: now. */
  int64_t time_ms;
} trellis_record;

/* A record whose partition is by its key. */
trellis_record trellis_to(const char *topic, trellis_bytes key, trellis_bytes value);
/* Write records and wait until they are durable; or go on at once while the host holds the answer
 * to the request back until they are. False: the first one that was not written. */
bool trellis_send(const trellis_record *records, size_t count);
bool trellis_send_ahead(const trellis_record *records, size_t count);

/* ---- SQL: [needs.sql] ---------------------------------------------------------------------- */

typedef struct {
  enum { TRELLIS_NULL, TRELLIS_BOOLEAN, TRELLIS_INTEGER, TRELLIS_REAL, TRELLIS_TEXT, TRELLIS_BLOB } kind;
  union {
    bool boolean;
    int64_t integer;
    double real;
    trellis_bytes bytes;
  };
} trellis_value;

trellis_value trellis_null(void);
trellis_value trellis_boolean(bool value);
trellis_value trellis_integer(int64_t value);
trellis_value trellis_real(double value);
trellis_value trellis_string(trellis_bytes text);
trellis_value trellis_binary(trellis_bytes bytes);

typedef struct {
  size_t row_count, column_count;
  const trellis_bytes *columns;
  /* The rows one behind the other; see trellis_cell. */
  const trellis_value *values;
} trellis_rows;

/* The value of a row in a column, by its name; null where there is none. */
trellis_value trellis_cell(const trellis_rows *rows, size_t row, const char *column);

typedef struct {
  const char *sql;
  const trellis_value *params;
  size_t count;
} trellis_statement;

/* Parameters are $1, $2 ... A batch is all or nothing, in one round trip. changed may be NULL. */
bool trellis_sql_query(trellis_statement statement, trellis_rows *rows);
bool trellis_sql_execute(trellis_statement statement, uint64_t *changed);
bool trellis_sql_batch(const trellis_statement *statements, size_t count);

/* A transaction over several calls; what has not been committed at the end of the call is undone. */
typedef struct {
  int32_t handle;
} trellis_transaction;
bool trellis_begin(trellis_transaction *transaction);
bool trellis_transaction_query(trellis_transaction *transaction, trellis_statement statement, trellis_rows *rows);
bool trellis_transaction_execute(trellis_transaction *transaction, trellis_statement statement, uint64_t *changed);
bool trellis_commit(trellis_transaction *transaction);
bool trellis_rollback(trellis_transaction *transaction);

/* ---- Keys and values: [needs.keyvalue] ----------------------------------------------------- */

/* An open store: close it. */
typedef struct {
  int32_t handle;
} trellis_store;
bool trellis_store_open(const char *name, trellis_store *store);
void trellis_store_close(trellis_store *store);
/* The value is null where there is none. */
bool trellis_store_get(trellis_store *store, trellis_bytes key, trellis_bytes *value);
bool trellis_store_set(trellis_store *store, trellis_bytes key, trellis_bytes value);
bool trellis_store_delete(trellis_store *store, trellis_bytes key);
bool trellis_store_increment(trellis_store *store, trellis_bytes key, int64_t by, int64_t *sum);
/* A page of keys; the cursor is null for the first one, and null behind the last one. */
bool trellis_store_keys(trellis_store *store, trellis_bytes *cursor, const trellis_bytes **keys, size_t *count);

/* ---- Cache: [needs.cache] ------------------------------------------------------------------ */

/* The value is null where there is none. */
bool trellis_cache_get(trellis_bytes key, trellis_bytes *value);
bool trellis_cache_set(trellis_bytes key, trellis_bytes value, uint64_t ttl_ms);
/* Only where there is none; whether it was written. */
bool trellis_cache_add(trellis_bytes key, trellis_bytes value, uint64_t ttl_ms, bool *added);
bool trellis_cache_delete(trellis_bytes key);

/* ---- Blobs: [needs.blobs] ------------------------------------------------------------------ */

/* The content type may be NULL. */
bool trellis_blob_put(const char *container, trellis_bytes key, trellis_bytes body, const char *content_type);
bool trellis_blob_append(const char *container, trellis_bytes key, trellis_bytes bytes);
/* The body is null where there is none; read from an offset on, at most 1 MiB, or all of it. */
bool trellis_blob_read(const char *container, trellis_bytes key, uint64_t offset, uint32_t size, trellis_bytes *body);
bool trellis_blob_get(const char *container, trellis_bytes key, trellis_bytes *body);
bool trellis_blob_delete(const char *container, trellis_bytes key);

typedef struct {
  /* The content type is null where it was put without one. */
  trellis_bytes key, etag, content_type;
  uint64_t size, modified_ms;
} trellis_blob_entry;

/* The blobs whose keys begin with prefix, behind the key after, which is null for the first page; at
 * most 1,000. */
bool trellis_blob_list(const char *container, trellis_bytes prefix, trellis_bytes after,
                       const trellis_blob_entry **entries, size_t *count);

/* ---- Other hosts: [needs.http] ------------------------------------------------------------- */

typedef struct {
  /* NULL is GET. */
  const char *method;
  trellis_bytes url, body;
  const trellis_pair *headers;
  size_t header_count;
  /* 0: what is left of the call's own time. */
  uint32_t timeout_ms;
} trellis_question;

typedef struct {
  uint16_t status;
  const trellis_pair *headers;
  size_t header_count;
  trellis_bytes body;
} trellis_answer;

bool trellis_ask(const trellis_question *question, trellis_answer *answer);

/* ---- Free for all -------------------------------------------------------------------------- */

typedef enum { TRELLIS_TRACE, TRELLIS_DEBUG, TRELLIS_INFO, TRELLIS_WARN, TRELLIS_ERROR, TRELLIS_CRITICAL } trellis_level;
void trellis_log(trellis_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A setting of [needs.config]; null where there is none. */
trellis_bytes trellis_config(const char *key);

/* Numbers for /metrics; the labels may be NULL. */
void trellis_count(const char *name, uint64_t by, const trellis_pair *labels, size_t count);
void trellis_gauge(const char *name, double value, const trellis_pair *labels, size_t count);
void trellis_observe(const char *name, double value, const trellis_pair *labels, size_t count);

/* A member of a JSON object that is text, by its name, with its escapes undone; null where there is
 * none, it is no text, or the object's quotes and brackets do not end. */
trellis_bytes trellis_json_text(trellis_bytes object, const char *name);
/* A text as JSON has it, with its quotes. */
trellis_bytes trellis_json_quote(trellis_bytes text);

#endif
