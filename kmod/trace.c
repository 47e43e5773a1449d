// SPDX-License-Identifier: GPL-2.0-only
/* Tracepoints of every key event: the one place that makes them. */

#define CREATE_TRACE_POINTS
#include "trace.h"
