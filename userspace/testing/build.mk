# SPDX-License-Identifier: GPL-2.0-or-later
# A German locale for the tests, so that none needs to be installed.

TEST_LOCALE	:= $(BUILD)/locale/de_DE.UTF-8

$(TEST_LOCALE): testing/build.mk
	@rm -rf $@ $@.new; mkdir -p $(@D)
	$(call say,LOC)localedef -i de_DE -f UTF-8 --no-archive $(abspath $@.new) && mv $@.new $@

tests check selftests: $(TEST_LOCALE)
check-cli: $(TEST_LOCALE)
