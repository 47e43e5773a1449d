# SPDX-License-Identifier: GPL-2.0-or-later
#
# vmcrypt.  This is a front door only: each target is a line or two that call
# what does the work.  "make help" lists them.

PREFIX	?= /usr/local
DESTDIR	?=
# Kernels to test on: 6.1, 6.12, 7.3 or the path of a bzImage.
KERNEL	?=

export PREFIX DESTDIR

.DEFAULT_GOAL := all

include packaging/install.mk

all: module userspace translations examples

help:
	@sed -n 's/^#: //p' Makefile

#: make                   the module (for this machine's kernel, or 6.12) and the programs
#: make module KERNEL=K   the module for 6.1, 6.12 or 7.3, in build/module/
module:
	@tools/lab module --kernel $(or $(firstword $(KERNEL)),running)

#: make userspace         vmcryptd and vmcrypt, in build/userspace/
userspace:
	@$(MAKE) -C userspace all

#: make translations      the catalogs of the programs' texts, in build/locale/
translations:
	@tools/po mo build/locale

#: make examples          how a hypervisor uses the module, in build/examples/
examples:
	@$(MAKE) --no-print-directory -C tools/examples

#: make install           programs, units, policies, man pages (PREFIX, DESTDIR)
install: userspace install-packaging
	$(MAKE) -C userspace install

#: make stage             the same, into build/root/, from where lab hosts take it
stage: userspace
	@$(MAKE) -s --no-print-directory install DESTDIR='$(CURDIR)/build/root' PREFIX=/usr/local >/dev/null

#: make install-module    the module, for this machine's kernel
install-module:
	tools/lab install-module

#: make install-dkms      its sources for DKMS, which rebuilds it with each new kernel:
#:                        then "dkms install vmcrypt/VERSION"

#: make deps              install what building and checking needs (Debian 12)
deps:
	@tools/deps install

#: make demo              see it at work: everything from here on is done for you
demo:
	@tools/deps install build lab
	@$(MAKE) --no-print-directory userspace stage
	@tools/demo $(if $(KERNEL),--kernel $(KERNEL))

#: make check             all tests, on 6.12 and 6.1; KERNEL=7.3 for another kernel
check:
	@tools/check $(if $(KERNEL),--kernel '$(KERNEL)')

#: make check-every       also on each kernel what is no matter of it, and the tests of the
#:                        programs as they are shipped; some hours
check-every:
	@tools/check $(if $(KERNEL),--kernel '$(KERNEL)') --every gates unit unit-asan unit-crash fuzz kunit lab

#: make check-unit        tests of the programs, also under ASan and UBSan
check-unit:
	@tools/check unit unit-asan unit-crash

#: make check-kunit       tests inside the module, in user mode Linux
check-kunit:
	@tools/check kunit

#: make check-lab         tests on real kernels, in lab hosts
check-lab:
	@tools/check $(if $(KERNEL),--kernel '$(KERNEL)') lab

#: make check-debug       the module under KASAN, lockdep and kmemleak
check-debug:
	@tools/check debug

#: make check-fuzz        the fuzzers, for a bounded number of runs (RUNS=N)
check-fuzz:
	@tools/check fuzz

#: make gates             style and static checks
gates:
	@tools/check gates

#: make bench             measure
bench:
	@tools/bench

#: make clean             remove build/ (what was downloaded stays in ~/.cache/vmcrypt)
clean:
	rm -rf build

.PHONY: all help module userspace translations examples install stage install-module deps demo check check-every \
	check-unit check-kunit check-lab check-debug check-fuzz gates bench clean
