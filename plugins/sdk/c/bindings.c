/* The generated bindings. What they would free is in the memory of the call, which is given back as
 * a whole: of some lists they would free only a part. */
#define free trellis_is_freed_at_the_end
#include "bindings/plugin.c"

void trellis_is_freed_at_the_end(void *memory) { (void)memory; }

/* The type of the component is put in when it is made, and needs no object file to be linked. */
void __component_type_object_force_link_plugin(void) {}
