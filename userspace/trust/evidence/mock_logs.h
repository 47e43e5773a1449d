/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Logs of real starts (corpus/eventlog), and the PCRs 0 to 9 that the TPM had after them; see mock_logs.c. */
#ifndef VMC_EVIDENCE_MOCK_LOGS_H
#define VMC_EVIDENCE_MOCK_LOGS_H

#include "eventlog.h"

enum mock_log { LOG_OVMF, LOG_OVMF_SECURE_BOOT, LOG_SEABIOS, LOGS };

/* The bytes; they stay until the program ends. */
const uint8_t *mock_log_bytes(enum mock_log which, size_t *len);
/* Parsed; the caller frees it. Fails the test when that does not work. */
struct eventlog *mock_log(enum mock_log which);
/* The values of bank sha256 with @mask (of PCRs 0 to 9). */
void mock_log_pcrs(enum mock_log which, uint32_t mask, struct pcrs *out);

#endif
