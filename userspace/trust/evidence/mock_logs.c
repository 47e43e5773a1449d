// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a TPM told after three starts of a Debian kernel: by OVMF without and with
 * Secure Boot, and by SeaBIOS; see mock_logs.h.
 */
#include "mock_logs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/fs.h"
#include "../../lib/util.h"
#include "../../testing/testing.h"

#define VALUES	10

static const struct {
	const char *file;
	const char *pcrs[VALUES];
} logs[LOGS] = {
	[LOG_OVMF] = { "ovmf", {
		"1119fe2cc2550e9294b01a6355bfeb7ac1507139f07c0afec49f6644002acca9",
		"8e9d1fe23131f12d6a523e9c32eb3223d4dc25e14eb5fd60163e7ba8de0f248c",
		"3d458cfe55cc03ea1f443f1562beec8df51c75e14a9fcf9a7234a13f198e7969",
		"3d458cfe55cc03ea1f443f1562beec8df51c75e14a9fcf9a7234a13f198e7969",
		"9cb71fca15b3f8bf2617347ed89e6fff8ed021dbb83a9e5d7c10508da5926ee1",
		"a5ceb755d043f32431d63e39f5161464620a3437280494b5850dc1b47cc074e0",
		"3d458cfe55cc03ea1f443f1562beec8df51c75e14a9fcf9a7234a13f198e7969",
		"65caf8dd1e0ea7a6347b635d2b379c93b9a1351edc2afc3ecda700e534eb3068",
		"0000000000000000000000000000000000000000000000000000000000000000",
		"382fc8471d53eb1c7edee468c34a2da2c1bc1bad329b0f14ead4c479315bfbc0",
	} },
	[LOG_OVMF_SECURE_BOOT] = { "ovmf-secure-boot", {
		"3f615b4573ca69c414318ec2499337f73aecf29aed4d5fcade3b54d2c85f76ed",
		"8e9d1fe23131f12d6a523e9c32eb3223d4dc25e14eb5fd60163e7ba8de0f248c",
		"3d458cfe55cc03ea1f443f1562beec8df51c75e14a9fcf9a7234a13f198e7969",
		"3d458cfe55cc03ea1f443f1562beec8df51c75e14a9fcf9a7234a13f198e7969",
		"7a94ffe8a7729a566d3d3c577fcb4b6b1e671f31540375f80eae6382ab785e35",
		"a5ceb755d043f32431d63e39f5161464620a3437280494b5850dc1b47cc074e0",
		"3d458cfe55cc03ea1f443f1562beec8df51c75e14a9fcf9a7234a13f198e7969",
		"4387f18f9308e9a61cf5cd7685196e15b8c410ee1405d0f07fb3bee71530619d",
		"0000000000000000000000000000000000000000000000000000000000000000",
		"393589917e32cb1731930a6f08dc2eb11aaa5927d0bcd684bb2fedbdb8a614c8",
	} },
	[LOG_SEABIOS] = { "seabios", {
		"e21b703ee69c77476bccb43ec0336a9a1b2914b378944f7b00a10214ca8fea93",
		"c12b52771af418372e6e1734ac8ee4ba01a73c42d782a7b8b3ca12dac79abcbd",
		"22c81553ac1b2c475f081ba0149354f68ff6123ac1bae1742006f894d2269241",
		"e21b703ee69c77476bccb43ec0336a9a1b2914b378944f7b00a10214ca8fea93",
		"1eb9aa21337cc1fa31ce5f56900d7bf59b9dda366823095aed06544caa2557ca",
		"e21b703ee69c77476bccb43ec0336a9a1b2914b378944f7b00a10214ca8fea93",
		"e21b703ee69c77476bccb43ec0336a9a1b2914b378944f7b00a10214ca8fea93",
		"e21b703ee69c77476bccb43ec0336a9a1b2914b378944f7b00a10214ca8fea93",
		"0000000000000000000000000000000000000000000000000000000000000000",
		"0000000000000000000000000000000000000000000000000000000000000000",
	} },
};

const uint8_t *mock_log_bytes(enum mock_log which, size_t *len)
{
	static char *bytes[LOGS];
	static size_t sizes[LOGS];
	struct vmc_error err = VMC_ERROR_INIT;
	const char *top = getenv("VMC_SOURCE_DIR");
	char path[512];

	snprintf(path, sizeof(path), "%s/trust/evidence/corpus/eventlog/%s", top ? top : ".", logs[which].file);
	if (!bytes[which])
		assert_ok(fs_read(path, EVENTLOG_MAX, &bytes[which], &sizes[which], &err), &err);
	*len = sizes[which];
	return (const uint8_t *)bytes[which];
}

struct eventlog *mock_log(enum mock_log which)
{
	struct vmc_error err = VMC_ERROR_INIT;
	const uint8_t *bytes;
	struct eventlog *log;
	size_t len;

	bytes = mock_log_bytes(which, &len);
	assert_ok(eventlog_parse(bytes, len, &log, &err), &err);
	return log;
}

void mock_log_pcrs(enum mock_log which, uint32_t mask, struct pcrs *out)
{
	size_t n;

	*out = (struct pcrs){ .bank = TPM2_ALG_SHA256, .mask = mask };
	for (unsigned int i = 0; i < VALUES; i++)
		assert_int_equal(vmc_hex_decode(logs[which].pcrs[i], out->value[i], 32, &n), 0);
}
