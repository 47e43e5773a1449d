# SPDX-License-Identifier: GPL-2.0-or-later
# What the rules by name do not foresee: the mock as a program, the self-test
# against a real server, and the seeds of the fuzzers.

KMIP_PROGRAMS	:= $(BUILD)/mock-kmip-server $(BUILD)/kmip-selftest
KMIP_LINKS	:= $(call mocks,keys/kmip) $(call archive,testing) $(call links,keys/kmip)

.PHONY: kmip-programs kmip-corpus
kmip-programs: $(KMIP_PROGRAMS)
all: kmip-programs

$(BUILD)/mock-kmip-server: $(BUILD)/selftests/kmip/mock_kmip_server.o $(KMIP_LINKS)
	$(call say,LD)$(CC) $(ALL_LDFLAGS) -o $@ $< $(call group,$(KMIP_LINKS)) $(PKG_LIBS) $(TEST_LIBS)

$(BUILD)/kmip-selftest: $(BUILD)/selftests/kmip/kmip_selftest.o $(KMIP_LINKS)
	$(call say,LD)$(CC) $(ALL_LDFLAGS) -o $@ $< $(call group,$(KMIP_LINKS)) $(PKG_LIBS) $(TEST_LIBS)

$(BUILD)/kmip-make-corpus: $(BUILD)/keys/kmip/corpus/make_corpus.o $(KMIP_LINKS)
	$(call say,LD)$(CC) $(ALL_LDFLAGS) -o $@ $< $(call group,$(KMIP_LINKS)) $(PKG_LIBS) $(TEST_LIBS)

kmip-corpus: $(BUILD)/kmip-make-corpus
	rm -f keys/kmip/corpus/ttlv/* keys/kmip/corpus/reply/*
	$< keys/kmip/corpus
