# SPDX-License-Identifier: GPL-2.0-or-later
# What the rules by name do not foresee: the seeds of the fuzzers.

NATIVE_LINKS	:= $(call links,keys/native)

.PHONY: native-corpus
$(BUILD)/native-make-corpus: $(BUILD)/keys/native/corpus/make_corpus.o $(NATIVE_LINKS)
	$(call say,LD)$(CC) $(ALL_LDFLAGS) -o $@ $< $(call group,$(NATIVE_LINKS)) $(PKG_LIBS)

native-corpus: $(BUILD)/native-make-corpus
	rm -f keys/native/corpus/backup/* keys/native/corpus/keylist/*
	$< keys/native/corpus
