/* What a network's layers have. The compiler leaves out code for what is 0; an export says 1 only
 * for what its network needs. */
#ifndef ONEBIT_CONFIG_H_
#define ONEBIT_CONFIG_H_

#include <stdint.h>

/* What sums are compared with; int16_t where all fit. */
typedef int32_t onebit_limit;

/* Binary convolutions. */
#define ONEBIT_ZERO_PADDING 1 /* pads of zeros */
#define ONEBIT_GROUPS 1       /* several groups of channels */
#define ONEBIT_LONG_ROWS 1    /* filters of more than 255 words */

/* ±1 weights on 8-bit inputs. */
#define ONEBIT_PIXEL_IMAGES 1    /* windows over images */
#define ONEBIT_PIXEL_VECTORS 1   /* dense layers */
#define ONEBIT_PIXEL_INT8 1      /* signed inputs */
#define ONEBIT_PIXEL_UINT8 1     /* unsigned inputs */
#define ONEBIT_PIXEL_LONG_ROWS 1 /* filters of more than 128 taps */

/* Both. */
#define ONEBIT_DILATION 1 /* taps that do not follow each other */

#endif /* ONEBIT_CONFIG_H_ */
