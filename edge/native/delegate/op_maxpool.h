// MAX_POOL_2D of floats beside binary layers: it normalises its inputs where a batch normalisation
// came before it, and packs its outputs where their signs are wanted.
#pragma once

#include "geometry.h"

namespace onebit {

struct MaxPoolState {
  int activation;
  bool same;
  int scale, offset;  // values of the constants of a normalisation, or -1
  Window window;
  b1::MaxPoolShape shape;
  b1::MaxPoolCall call;
  Buffer constants;  // scale, then offset
  const b1::MaxPoolKernel* kernel;
  const b1::PackKernel* pack;
  uint32_t* bits;
};

}  // namespace onebit
