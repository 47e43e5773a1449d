# SPDX-License-Identifier: GPL-2.0-or-later
#
# What goes into the system besides the programs. Included by the top Makefile:
#
#   make install-packaging [DESTDIR=...] [PREFIX=/usr]
#   make activate-packaging		have the running system take it up (as root)
#
# systemd finds units below /usr/local too; polkit, the bus and the catalog look
# in /usr and /etc only, so that these do not follow PREFIX.

PREFIX			?= /usr/local
BINDIR			?= $(PREFIX)/bin
SBINDIR			?= $(PREFIX)/sbin
SYSTEMD_UNIT_DIR	?= $(PREFIX)/lib/systemd/system
MODULES_LOAD_DIR	?= $(PREFIX)/lib/modules-load.d
DBUS_POLICY_DIR		?= /usr/share/dbus-1/system.d
DBUS_SERVICE_DIR	?= /usr/share/dbus-1/system-services
POLKIT_ACTION_DIR	?= /usr/share/polkit-1/actions
POLKIT_RULES_DIR	?= /usr/share/polkit-1/rules.d
CATALOG_DIR		?= /usr/lib/systemd/catalog
VMCRYPT_CONFIG_DIR	?= /etc/vmcrypt
LIBVIRT_HOOKS_DIR	?= /etc/libvirt/hooks/qemu.d
UNITS			:= vmcryptd.service vmcrypt-attestd.service vmcrypt-kmxd.service
# The services that run VMs: one for all drivers, or that of QEMU alone.
LIBVIRT_UNITS		:= libvirtd.service virtqemud.service
MAN_DIR			?= $(PREFIX)/share/man
# The programs look here: userspace/Makefile compiles it in.
LOCALE_DIR		?= $(PREFIX)/share/locale
COMPLETION_DIR		?= $(PREFIX)/share/bash-completion/completions

PACKAGING_DIR		:= $(dir $(lastword $(MAKEFILE_LIST)))

# The version as the module tells it; dkms.conf says the same.
VMCRYPT_VERSION		:= $(shell sed -n 's/^\#define VMCRYPT_VERSION.*"\(.*\)".*/\1/p' \
			   $(PACKAGING_DIR)../kmod/version.h)
DKMS_DIR		?= /usr/src/vmcrypt-$(VMCRYPT_VERSION)

.PHONY: install-dkms install-packaging activate-packaging uninstall-packaging

install-packaging:
	install -d $(addprefix $(DESTDIR),$(SYSTEMD_UNIT_DIR) $(MODULES_LOAD_DIR) $(DBUS_POLICY_DIR) \
		$(DBUS_SERVICE_DIR) $(POLKIT_ACTION_DIR) $(CATALOG_DIR) $(VMCRYPT_CONFIG_DIR))
	for unit in $(UNITS); do \
		sed 's#@SBINDIR@#$(SBINDIR)#g' $(PACKAGING_DIR)systemd/$$unit > $(DESTDIR)$(SYSTEMD_UNIT_DIR)/$$unit && \
		chmod 0644 $(DESTDIR)$(SYSTEMD_UNIT_DIR)/$$unit || exit; done
	install -m 0644 $(PACKAGING_DIR)modules-load.d/vmcrypt.conf $(DESTDIR)$(MODULES_LOAD_DIR)/
	install -m 0644 $(PACKAGING_DIR)dbus/org.vmcrypt1.conf $(DESTDIR)$(DBUS_POLICY_DIR)/
	install -m 0644 $(PACKAGING_DIR)dbus/org.vmcrypt1.service $(DESTDIR)$(DBUS_SERVICE_DIR)/
	install -m 0644 $(PACKAGING_DIR)polkit/org.vmcrypt1.policy $(DESTDIR)$(POLKIT_ACTION_DIR)/
	install -D -m 0644 $(PACKAGING_DIR)polkit/50-vmcrypt.rules $(DESTDIR)$(POLKIT_RULES_DIR)/50-vmcrypt.rules
	install -m 0644 $(wildcard $(PACKAGING_DIR)journal/*.catalog) $(DESTDIR)$(CATALOG_DIR)/
	$(PACKAGING_DIR)../tools/po mo $(abspath $(or $(DESTDIR),/))$(LOCALE_DIR)
	install -d $(DESTDIR)$(LIBVIRT_HOOKS_DIR)
	sed 's#@BINDIR@#$(BINDIR)#g' $(PACKAGING_DIR)libvirt/qemu.d/vmcrypt \
		> $(DESTDIR)$(LIBVIRT_HOOKS_DIR)/vmcrypt
	chmod 0755 $(DESTDIR)$(LIBVIRT_HOOKS_DIR)/vmcrypt
	for unit in $(LIBVIRT_UNITS); do \
		install -D -m 0644 $(PACKAGING_DIR)libvirt/systemd/vmcrypt.conf \
			$(DESTDIR)$(SYSTEMD_UNIT_DIR)/$$unit.d/vmcrypt.conf || exit; done
	install -D -m 0644 $(PACKAGING_DIR)completion/vmcrypt.bash $(DESTDIR)$(COMPLETION_DIR)/vmcrypt
	for page in vmcrypt.1 vmcrypt-trust.1 vmcryptd.8 vmcrypt-attestd.8 vmcrypt-kmxd.8 vmcrypt.conf.5; do \
		install -D -m 0644 $(PACKAGING_DIR)../Documentation/man/$$page \
			$(DESTDIR)$(MAN_DIR)/man$${page##*.}/$$page || exit; done

# Then: dkms install vmcrypt/VERSION. It is rebuilt with each new kernel.
install-dkms:
	cd $(PACKAGING_DIR).. && for f in Kbuild kmod/Kconfig kmod/*.[ch] include/uapi/linux/*.h; do \
		install -D -m 0644 $$f $(DESTDIR)$(DKMS_DIR)/$$f || exit; done
	install -m 0644 $(PACKAGING_DIR)dkms/dkms.conf $(DESTDIR)$(DKMS_DIR)/

# Each step only where its service runs, so that it works in a container too.
activate-packaging:
	journalctl --update-catalog
	if [ -d /run/systemd/system ]; then systemctl daemon-reload; fi
	if busctl status org.freedesktop.DBus > /dev/null 2>&1; then \
		busctl call org.freedesktop.DBus / org.freedesktop.DBus ReloadConfig; fi

uninstall-packaging:
	rm -f $(DESTDIR)$(LIBVIRT_HOOKS_DIR)/vmcrypt \
		$(foreach u,$(LIBVIRT_UNITS),$(DESTDIR)$(SYSTEMD_UNIT_DIR)/$(u).d/vmcrypt.conf)
	rm -f $(addprefix $(DESTDIR),$(addprefix $(SYSTEMD_UNIT_DIR)/,$(UNITS)) \
		$(MODULES_LOAD_DIR)/vmcrypt.conf $(DBUS_POLICY_DIR)/org.vmcrypt1.conf \
		$(DBUS_SERVICE_DIR)/org.vmcrypt1.service $(POLKIT_ACTION_DIR)/org.vmcrypt1.policy \
		$(POLKIT_RULES_DIR)/50-vmcrypt.rules \
		$(addprefix $(CATALOG_DIR)/,$(notdir $(wildcard $(PACKAGING_DIR)journal/*.catalog))) \
		$(patsubst $(PACKAGING_DIR)../po/%.po,$(LOCALE_DIR)/%/LC_MESSAGES/vmcrypt.mo,$(wildcard $(PACKAGING_DIR)../po/*.po)) \
		$(COMPLETION_DIR)/vmcrypt \
		$(MAN_DIR)/man1/vmcrypt.1 $(MAN_DIR)/man1/vmcrypt-trust.1 $(MAN_DIR)/man8/vmcryptd.8 \
		$(MAN_DIR)/man8/vmcrypt-attestd.8 \
		$(MAN_DIR)/man8/vmcrypt-kmxd.8 $(MAN_DIR)/man5/vmcrypt.conf.5)
