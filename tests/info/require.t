#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# weft-info --require: the exit status is 0 if all requirements are met, 1 with a probable cause for each unmet one, and
# 2 for malformed requirements. The NICs are the fault provider's; drivers, device files, limits and libraries are in
# made-up root directories.
set -u
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/check/tap.bash
. "$here/../check/tap.bash"
cd "${TEST_BUILDDIR:?run by make check}" || exit
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
root=$tmp/root
mkdir "$root"

check() { # requirements: sets out, err, status
	src/weft-info --root "$root" --require "$1" >"$tmp/out" 2>"$tmp/err"
	status=$?
	out=$(<"$tmp/out")
	err=$(<"$tmp/err")
}

met() { # what, requirements
	check "$2"
	if [ $status = 0 ] && [ "$out" = "met: $2" ]; then ok "$1"; else bad "$1" "exit $status" "$out" "$err"; fi
}

# Every requirement of the list is unmet, and its message contains the given words.
unmet() { # what, requirements, words...
	local word missing=''
	check "$2"
	for word in "${@:3}"; do grep -qF -- "$word" <<<"$out" || missing+="not said: $word; "; done
	if [ $status = 1 ] && [ "$(grep -c '^unmet: [^ ]*: ' <<<"$out")" = "$(tr ',' '\n' <<<"$2" | wc -l)" ] &&
		[ "$(grep -c '^       probable cause: .' <<<"$out")" = "$(grep -c '^unmet: ' <<<"$out")" ] &&
		[ -z "$missing" ]; then
		ok "$1"
	else
		bad "$1" "exit $status" "$missing" "$out" "$err"
	fi
}

refused() { # requirements, words on stderr
	check "$1"
	if [ $status = 2 ] && [ -z "$out" ] && grep -qF -- "$2" <<<"$err"; then
		ok "--require '${1:0:40}' is refused"
	else
		bad "--require '${1:0:40}' is refused" "exit $status" "$out" "$err"
	fi
}

pci() { # address, vendor, device, driver or ""
	local dir=$root/sys/bus/pci/devices/$1
	mkdir -p "$dir" "$root/sys/bus/pci/drivers/any"
	echo "$2" >"$dir/vendor"
	echo "$3" >"$dir/device"
	rm -f "$dir/driver"
	[ -z "$4" ] || ln -s "../../drivers/$4" "$dir/driver"
}

meminfo() { # total, free
	mkdir -p "$root/proc"
	printf 'MemTotal: 1 kB\nHugePages_Total: %s\nHugePages_Free: %s\n' "$1" "$2" >"$root/proc/meminfo"
}

# The steps from the bus to libfabric, one more each time.
unmet 'no EFA on the bus' provider=efa 'Weft would use' '0 PCI functions 1d0f:efa* on the bus'
pci 0000:3b:00.0 0x1d0f 0xefa1 ''
pci 0000:3c:00.0 0x1d0f 0xefa1 ''
pci 0000:3d:00.0 0x1d0f 0xec20 ena
unmet 'EFA without a driver' provider=efa '0 of 2 PCI functions 1d0f:efa* have the driver' 'kernel module efa'
pci 0000:3b:00.0 0x1d0f 0xefa1 efa
unmet 'one of two has its driver' provider=efa,nics=2 '0 efa devices in' '1 of 2 PCI functions'
pci 0000:3c:00.0 0x1d0f 0xefa1 efa
for i in 0 1; do
	mkdir -p "$root/sys/class/infiniband/efa_$i"
	ln -s "../../../bus/pci/devices/0000:3$(tr 01 bc <<<$i):00.0" "$root/sys/class/infiniband/efa_$i/device"
done
unmet 'a container without device files' provider=efa "0 device files $root/dev/infiniband/uverbs*, for 2 devices" \
	--device=/dev/infiniband
mkdir -p "$root/dev/infiniband/uverbs0" # a directory: even root can't open it for writing
unmet 'a device file that may not be opened' provider=efa "$root/dev/infiniband/uverbs* can't be opened"
rmdir "$root/dev/infiniband/uverbs0"
touch "$root/dev/infiniband/uverbs0" "$root/dev/infiniband/rdma_cm"
unmet 'device files for one of two' provider=efa,nics=2 '1 device files'
touch "$root/dev/infiniband/uverbs1"
library=$(src/weft-info --json | sed -n 's/^ *"path": "\(.*libfabric.*\)",*$/\1/p')
unmet 'devices, but a libfabric without them' provider=efa "the library loaded is ${library:-?}" \
	'libfabric offers no efa'
mkdir -p "$root/opt/amazon/efa/lib"
touch "$root/opt/amazon/efa/lib/libfabric.so.1"
LD_LIBRARY_PATH=/nowhere unmet 'another libfabric' provider=efa,libfabric=99.0 '(LD_LIBRARY_PATH is /nowhere)' \
	"another one is in $root/opt/amazon/efa/lib:"
export WEFT_PROVIDER=verbs
unmet 'no device at all is said besides' provider=verbs 'unmet: a device: there is none' 'libfabric offers no verbs'
unset WEFT_PROVIDER
unmet 'a provider that is here, but not chosen' provider=shm 'libfabric offers it, but it is not used by default' 'WEFT_PROVIDER=shm selects it'
FI_PROVIDER=^shm unmet 'a provider that a setting of libfabric hides' provider=shm 'FI_PROVIDER=^shm limits it'

# Limits and libraries.
unmet 'the loopback is no network' devices=1,nics=1,rails=1,speed=1 'a device: there is none that reaches other' \
	'there are 0; what reaches this host only' '0 are in use' 'WEFT_NICS=lo takes NICs that reach this host only'
WEFT_PROVIDER=shm WEFT_NICS= unmet 'nor is a provider of one host' nics=1 'provider shm reaches this host only, and WEFT_PROVIDER selects'
network() { # command...: with a NIC of the fault provider
	(
		use_fault_provider
		"$@"
		exit $tap_failed
	)
	tap_failed=$((tap_failed + $?))
	tap_count=$((tap_count + 1))
}
network met 'limits and libraries' 'provider=fault,devices=1,nics=1,rails=1,libfabric=1.17,memlock=1K'
meminfo 8 4
network met 'huge pages enough' hugepages=4
unmet 'huge pages that others hold' hugepages=8 '4 are free' '8 are set aside, but other processes'
unmet 'too few huge pages' hugepages=9 '8 are set aside: sysctl vm.nr_hugepages=9'
rm "$root/proc/meminfo"
unmet 'huge pages that nobody knows of' hugepages=1 'does not say'
network met 'locked memory that is allowed' memlock=1K
limited() { # kind of limit, requirement, words
	(
		ulimit -S -l 16
		[ "$1" = soft ] || ulimit -H -l 16
		unmet "locked memory that a $1 limit forbids" "$2" 'may lock 16K' "$3"
		exit $tap_failed
	)
	tap_failed=$((tap_failed + $?))
	tap_count=$((tap_count + 1))
}
limited soft memlock=17K 'only the soft limit is low'
limited hard memlock=17K LimitMEMLOCK=infinity
limited hard memlock LimitMEMLOCK=infinity
WEFT_CQ_DEPTH=many unmet 'a parameter that is wrong' provider=tcp,nics=1,rails=1 'probable cause: WEFT_CQ_DEPTH=many is not'
none 'nothing else is blamed for it' "$(grep 'probable cause' <<<"$out" | grep -v WEFT_CQ_DEPTH)"

# NICs, rails and speeds.
use_fault_provider
FAULT_NICS=0000:10:1b.0@100000,0000:10:1c.0@100000,0000:a0:1b.0@100000,0000:a0:1c.0@50000
export FAULT_NICS
unmet 'GPUDirect' gdr 'staged through host memory' "$root/proc/driver/nvidia/version is missing" \
	'libcuda.so.1 not found'
mkdir -p "$root/proc/driver/nvidia"
touch "$root/proc/driver/nvidia/version"
check gdr
none 'GPUDirect with a driver' "$(grep 'nvidia/version is missing' <<<"$out")"
WEFT_TEST_RAILS=4 met 'one device of four rails' provider=fault,devices=1,nics=4,rails=4,speed=350
WEFT_TEST_RAILS=4 unmet 'a rail is slow' speed=400 'has 350.0' 'fault0 (100000 Mbit/s)' 'fault3 (50000 Mbit/s)'
WEFT_RAILS=1 unmet 'rails that a parameter forbids' rails=4 'device 0 (fault0) has 1' WEFT_RAILS=1
WEFT_TEST_RAILS=2 unmet 'fewer devices than NICs' devices=4 'there are 2' 'WEFT_RAILS makes smaller'
unmet 'rails that lie apart' rails=4 'has 1' 'WEFT_TOPOLOGY'
WEFT_NICS='fault*,^a0:*' unmet 'NICs left out' nics=3 '2 are in use, of fault' \
	'2 of 4 NICs are left out by WEFT_NICS=fault*,^a0:*'
unmet 'more NICs than there are' nics=5 '4 are in use' 'libfabric lists no more'
WEFT_NICS=eth7 unmet 'a list that leaves nothing' nics=1,devices=1 'unmet: a device: there is none' \
	'WEFT_NICS=eth7 leaves no NIC'
FAULT_NICS=-@100000,-@100000 unmet 'rails without places' rails=2 'reports no PCI address for fault0'

for setting in WEFT_RAILS=9 WEFT_PROTOCOL=RDMA WEFT_PEER_TIMEOUT=0.5s WEFT_CTRL_BUFFERS=4096\ WEFT_CQ_DEPTH=512 WEFT_TEST_RAILS=x; do
	wrong=
	for view in '' --json --topology --placement --nccl-topology "--save-topology $tmp/m.xml"; do
		# shellcheck disable=SC2086
		env $setting src/weft-info $view >"$tmp/out" 2>"$tmp/err"
		status=$?
		[ $status = 2 ] || wrong+="$view: exit $status; "
		grep -qF "${setting%% *}" "$tmp/err" || wrong+="$view: does not name it; "
	done
	none "weft-info with $setting: every view ends with 2 and names it" "$wrong"
done

refused '' 'at least one'
refused , 'at least one'
refused nics 'not of the form nics=N'
refused nics=0 'not of the form nics=N'
refused nics=x 'not of the form nics=N'
refused gdr=1 'not of the form gdr'
refused libfabric=1 'not of the form libfabric=M.N'
refused libfabric=1.20.1 'not of the form libfabric=M.N'
refused memlock=lots 'not of the form memlock[=SIZE]'
refused provider= 'not of the form provider=NAME'
refused rial=4 'rial=4 is no requirement'
refused rails=1,nics=1,=3 'is no requirement'
refused "$(printf 'nics=1,%.0s' {1..33})" 'too many'
said=$(src/weft-info --json --require nics=1 2>&1)
status=$?
if [ $status = 2 ] && grep -q 'only one of them' <<<"$said"; then
	ok 'two kinds of output at once are refused'
else
	bad 'two kinds of output at once are refused' "exit $status" "$said"
fi
tap_done
