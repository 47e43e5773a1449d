# SPDX-License-Identifier: GPL-2.0-or-later
#
# The manager's tests once more, over the real kernel instead of the mock one:
# only the key providers and the crash points stay mocks. They run in lab hosts,
# see ../selftests/vm.

VM_LAB		:= manager_test recrypt_test states_test crash_test
VM_LAB_OBJECTS	:= $(foreach m,host provider world crashpoint,$(BUILD)/vm/mock_$(m).o) \
		   $(BUILD)/selftests/vm/lab_platform.o
VM_LAB_PROGRAMS	:= $(VM_LAB:%=$(BUILD)/selftests/vm/%)

selftests: $(VM_LAB_PROGRAMS)

$(VM_LAB_PROGRAMS): $(BUILD)/selftests/vm/%: $(BUILD)/vm/%.o $(VM_LAB_OBJECTS) $(foreach d,vm $(KEYS) kernel audit lib testing,$(call archive,$(d)))
	$(call say,LD)$(CC) $(ALL_LDFLAGS) -o $@ $(filter %.o,$^) $(call group,$(filter %.a,$^)) $(PKG_LIBS) $(TEST_LIBS)
