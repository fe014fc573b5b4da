# SPDX-License-Identifier: Apache-2.0
# Turns a machine's description into XML that hwloc loads. A line is a socket, a bridge below it (bridges nest by
# their depth), or a PCI function below the last bridge or, without one, the last socket:
#
#	socket
#	bridge DEPTH PCI-ADDRESS
#	gpu PCI-ADDRESS
#	nic PCI-ADDRESS MBPS
#
# What follows a # is for the reader; "expect" lines are for the test.
function open_bridges(to) { while (bridges > to) { print "</object>"; bridges-- } }
function close_socket() { open_bridges(0); if (sockets) print "</object>" }
function id() { return ++gp }
function sets(bit) { return sprintf("cpuset=\"0x%x\" complete_cpuset=\"0x%x\" nodeset=\"0x%x\" complete_nodeset=\"0x%x\"", bit, bit, bit, bit) }
BEGIN {
	# a bridge and its host bridge have buses; which ones does not matter here
	host = "<object type=\"Bridge\" gp_index=\"%d\" bridge_type=\"0-1\" depth=\"0\" bridge_pci=\"%s:[00-ff]\">\n"
	pci = "<object type=\"PCIDev\" gp_index=\"%d\" pci_busid=\"%s\" pci_type=\"%s [%s] [0000:0000] 00\" pci_link_speed=\"0.000000\"/>\n"
}
FNR == NR { total += $1 == "socket"; next }
FNR == 1 {
	all = 2 ^ total - 1
	print "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!DOCTYPE topology SYSTEM \"hwloc2.dtd\">\n<topology version=\"2.0\">"
	printf "<object type=\"Machine\" os_index=\"0\" %s allowed_cpuset=\"0x%x\" allowed_nodeset=\"0x%x\" gp_index=\"%d\">\n", sets(all), all, all, id()
}
{ sub(/#.*/, "") }
$1 == "socket" {
	close_socket()
	bit = 2 ^ sockets
	printf "<object type=\"Package\" os_index=\"%d\" %s gp_index=\"%d\">\n", sockets, sets(bit), id()
	printf "<object type=\"NUMANode\" os_index=\"%d\" %s gp_index=\"%d\" local_memory=\"1073741824\"/>\n", sockets, sets(bit), id()
	printf "<object type=\"Core\" os_index=\"0\" %s gp_index=\"%d\"><object type=\"PU\" os_index=\"%d\" %s gp_index=\"%d\"/></object>\n", sets(bit), id(), sockets, sets(bit), id()
	sockets++
}
$1 == "bridge" {
	open_bridges($2 + 0 ? $2 : 0)
	bridges++
	if ($2 == 0) {
		printf host, id(), substr($3, 1, 4)
	} else {
		printf "<object type=\"Bridge\" gp_index=\"%d\" bridge_type=\"1-1\" depth=\"%d\" bridge_pci=\"%s:[00-ff]\" pci_busid=\"%s\" pci_type=\"0604 [1d0f:0200] [0000:0000] 00\" pci_link_speed=\"0.000000\">\n", id(), $2, substr($3, 1, 4), $3
	}
}
$1 == "gpu" || $1 == "nic" {
	if (!bridges) { printf host, id(), substr($2, 1, 4); bridges = 1 }
	printf pci, id(), $2, $1 == "gpu" ? "0302" : "0200", $1 == "gpu" ? "10de:2330" : "1d0f:efa2"
}
END { close_socket(); print "</object>\n</topology>" }
