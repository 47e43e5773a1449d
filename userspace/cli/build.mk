# SPDX-License-Identifier: GPL-2.0-or-later
# The client's own tests against stand-ins for the daemon and for an authority on a private bus.

MOCK_SERVICES	:= $(BUILD)/cli/mock_service $(BUILD)/cli/mock_trust

$(MOCK_SERVICES): %: %.o $(BUILD)/cli/mock_log.o $(BUILD)/lib.a
	$(call say,LD)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(PKG_LIBS)

.PHONY: check-cli
check-cli: $(BUILD)/vmcrypt $(MOCK_SERVICES)
	$(TOP)/selftests/cli/run.sh $(BUILD)

tests: $(MOCK_SERVICES)
check: check-cli
