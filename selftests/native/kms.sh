#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# In a lab host: a key server, and the provider "kms" that stands for it.
set -e

pykmip=("$LAB_TREE/tools/lab" pykmip)
dir=/srv/vms/kms

"${pykmip[@]}" start "$dir" --client host-a
vmcrypt provider add kmip kms --server localhost:5696
vmcrypt provider trust kms pin --ca "$dir/ca.pem"
vmcrypt provider trust kms csr >"$dir/host.csr"
"${pykmip[@]}" sign "$dir" "$dir/host.csr" "$dir/host.pem"
vmcrypt provider trust kms upload "$dir/host.pem"
vmcrypt provider test kms
