#include "delegate.h"

#include <stdio.h>

namespace onebit {

Delegate* create_delegate() {
  void* memory = allocate(sizeof(Delegate));
  return memory == nullptr ? nullptr : new (memory) Delegate();
}

void ref(Delegate* delegate) { __atomic_fetch_add(&delegate->references, 1, __ATOMIC_RELAXED); }

void unref(Delegate* delegate) {
  if (__atomic_sub_fetch(&delegate->references, 1, __ATOMIC_ACQ_REL) > 0) return;
  if (delegate->options.profile[0] && !write_profile(*delegate)) {
    fprintf(stderr, "onebit: cannot write the profile %s\n", delegate->options.profile);
  }
  delegate->~Delegate();
  free(delegate);
}

}  // namespace onebit
