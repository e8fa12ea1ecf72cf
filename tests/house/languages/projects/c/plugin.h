/* What the files of this plugin share. */
#include "trellis.h"

/* A value, or the word none. */
trellis_bytes said(trellis_bytes value);
/* Ends the call where something was not done: then the log says why. */
void need(bool done);
/* Keep a value in the store. */
void keep(const char *key, trellis_bytes value);

/* Something to use, by the name of its path. */
typedef struct {
  const char *name;
  trellis_bytes (*work)(void);
} use;
extern const use uses[];

trellis_bytes ask(trellis_bytes where);
