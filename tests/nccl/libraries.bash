# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# Candidate paths of libnccl.so.2, one per line; not all exist. NCCL_LIBRARY=FILE[:FILE...] replaces the search.

find_libraries() {
	local dir
	if [ -n "${NCCL_LIBRARY-}" ]; then
		tr : '\n' <<<"$NCCL_LIBRARY"
		return
	fi
	tr : '\n' <<<"${LD_LIBRARY_PATH-}" | sed -n 's|..*|&/libnccl.so.2|p'
	PATH=$PATH:/usr/sbin:/sbin ldconfig -p 2>/dev/null | awk '$1 == "libnccl.so.2" { print $NF }'
	for dir in /usr/local/cuda*/lib* /usr/local/cuda*/targets/*/lib /usr/lib/*-linux-gnu \
		/usr/lib64 /usr/local/lib; do
		echo "$dir/libnccl.so.2"
	done
	python3 -c 'import site
for d in site.getsitepackages() + [site.getusersitepackages()]:
    print(d + "/nvidia/nccl/lib/libnccl.so.2")' 2>/dev/null
}
