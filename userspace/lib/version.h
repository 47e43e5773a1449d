/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VMC_LIB_VERSION_H
#define VMC_LIB_VERSION_H

#define VMC_VERSION "0.1.0"

#endif
