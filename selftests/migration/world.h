/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Two ends of a migration in one kernel, and a wire between them that may be
 * hostile.
 */
#ifndef WORLD_H
#define WORLD_H

#include <linux/vmcrypt.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nlt.h"

enum { SRC, DST, ENDS };

/* What a hostile wire does to the record that it has counted up to. */
enum relay_mode {
	RELAY_FAIR,
	RELAY_FLIP,
	RELAY_DROP,
	RELAY_REPLAY,
	RELAY_CUT,
	RELAY_RESET,
};

/* One direction of a wire: records from one socket to another. */
struct relay {
	pthread_t thread;
	int from, to;
	enum relay_mode mode;
	unsigned int victim;
	unsigned int records;
	bool leaked;
};

struct world {
	uint32_t migration[ENDS];
	uint32_t number;
	int user[ENDS];		/* plain socket of whoever migrates, or stream */
	struct relay relay[ENDS];
	bool relayed;
};

extern struct nlt nl, events;
extern struct nlt_answer a;

uint32_t info(int attr);
bool all_closed(void);
void write_param(const char *file, const char *value);

int migration_new(const struct nlt *from, const uint8_t *vm, int role,
		  int policy, uint32_t *id, uint8_t *public);
int migration_agree(const struct nlt *from, uint32_t id, const uint8_t *peer,
		    uint8_t binding);
int migration_op(int cmd, uint32_t id, bool force);
int channel_new(uint32_t migration, uint32_t number, int wire, int plain);
int channel_op(int cmd, uint32_t migration, uint32_t number);

void world_agree(struct world *w, const uint8_t *vm, int policy);
void world_end(struct world *w);
void world_open(struct world *w, enum relay_mode mode, bool direct);
void world_open_end(struct world *w, int end, int wire, bool direct);
void world_close(struct world *w);
int channel_end(const struct world *w, int end);
bool ended(const struct world *w, int end, int reason);

bool pour(int from, int to, size_t len, uint8_t seed);
bool put(int fd, size_t len, uint8_t seed);
size_t get(int fd, size_t len, uint8_t seed, int *err);
size_t get_from(int fd, size_t at, size_t len, uint8_t seed, int *err);
void tcp_pair(int fd[2]);

#endif /* WORLD_H */
