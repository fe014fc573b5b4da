# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Hosts made of network namespaces: can there be any here?

# Prints the reason why tests cannot use network namespaces here; nothing where they can.
netns_missing() {
	local try=wtry$$
	command -v ip >/dev/null || { echo "needs ip of iproute2"; return; }
	ip netns add "$try" 2>/dev/null || { echo "cannot make network namespaces"; return; }
	if ! ip netns exec "$try" true 2>/dev/null; then
		echo "cannot run programs in network namespaces (the root directory of a chroot must be a mount point)"
	elif ! ip -n "$try" link add v0 type veth peer name v1 2>/dev/null; then
		echo "cannot make virtual cables"
	fi
	ip netns del "$try"
}
