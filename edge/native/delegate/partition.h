// The life of a partition, as the interpreter drives it.
#pragma once

#include "graph.h"

namespace onebit {

// The registration of the node that replaces a partition; its callbacks are in partition.cc.
TfLiteRegistration partition_registration();

}  // namespace onebit
