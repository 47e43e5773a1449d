# SPDX-License-Identifier: GPL-2.0-or-later
#
# The linker goes through the archives in their order, and the daemon names the
# manager, the providers and the module only after the mocks had their turn:
# ask for one symbol of each mock at once, then its archive member has them all.
DAEMON_MOCKS	:= -Wl,-u,vmm_open -Wl,-u,providers_open -Wl,-u,vmk_open -Wl,-u,persist_open -Wl,-u,migrations_open

LINK_daemon/server_test	:= $(DAEMON_MOCKS)
LINK_daemon/calls_test	:= $(DAEMON_MOCKS)
LINK_daemon/boot_test	:= $(DAEMON_MOCKS)
LINK_daemon/hooks_test	:= $(DAEMON_MOCKS)
LINK_daemon/language_test	:= $(DAEMON_MOCKS)
