/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Words for persons, in their language (gettext, domain "vmcrypt"). Mark every
 * literal that a person reads: _("text") where it is used, N_("text") in a table
 * whose user calls _() on it. Formats keep their conversions; a translation may
 * reorder them with %1$s. What programs read (JSON keys, D-Bus names, codes,
 * MESSAGE_IDs) is never marked.
 */
#ifndef VMC_LIB_I18N_H
#define VMC_LIB_I18N_H

#include <libintl.h>

#define _(text)		dgettext("vmcrypt", text)
#define N_(text)	(text)

#endif
