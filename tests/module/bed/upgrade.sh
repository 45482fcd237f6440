# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2154  # work and release are of `packages`
# From the last release to the present packages, in the root that `packages` has made and boots, while a plain QEMU runs there as a guest.
# The agent was root's then: what it has kept belongs to root, and its unit and bus policy knew no other user.

# repack FROM TO: a package with the version 0~last in its file's place, edited by the function older if LAST has none.
repack() {
	local tree=$work/repacked version
	version=$(dpkg-deb --field "$1" Version)
	rm -rf "$tree"
	dpkg-deb --raw-extract "$1" "$tree"
	[ -n "${LAST:-}" ] || older "$tree" || return
	sed -i -e 's/^Version: .*/Version: 0~last/' -e "s/virttier (>= $version)/virttier/" "$tree/DEBIAN/control"
	# DKMS knows a module by its version, which is upstream's.
	if [ -d "$tree/usr/src/kvm_ept_sample-$version" ]; then
		mv "$tree/usr/src/kvm_ept_sample-$version" "$tree/usr/src/kvm_ept_sample-0"
		sed -i "s/^PACKAGE_VERSION=.*/PACKAGE_VERSION=0/" "$tree/usr/src/kvm_ept_sample-0/dkms.conf"
		sed -i "s/$version/0/g" "$tree"/DEBIAN/{postinst,prerm}
	fi
	(cd "$tree" && find . -path ./DEBIAN -prune -o -type f -printf '%P\0' | xargs -0 md5sum > DEBIAN/md5sums)
	dpkg-deb --root-owner-group -Zgzip -z1 --build "$tree" "$2"
}
# older TREE: a package as it was while the agent was root. Fails where the present one no longer has what is changed.
older() {
	local unit=$1/usr/lib/systemd/system/virttier.service policy=$1/usr/share/dbus-1/system.d/org.virttier.Agent1.conf
	[ -e "$unit" ] || unit=$1/lib/systemd/system/virttier.service
	[ -e "$unit" ] || return 0
	grep -q '^User=virttier$' "$unit" && grep -q '<policy user="virttier">' "$policy" && [ -e "$1/usr/lib/sysusers.d/virttier.conf" ] || return
	sed -i -e '/^User=/d' -e '/^AmbientCapabilities=/d' "$unit"
	sed -i '/<policy user="virttier">/,/<\/policy>/d' "$policy"
	rm "$1/usr/lib/sysusers.d/virttier.conf"
	sed -i 's/systemd-sysusers.*/:/' "$1/DEBIAN/postinst"
	echo '# A line that the last release had.' >> "$1/etc/virttier/virttier.yaml"
}

# What the agent has kept, with who owns it.
kept() { in_root find /var/lib/virttier -mindepth 1 -printf '%u %P\n' | sort; }
kept_is_of() { kept | tee --append /dev/stderr | awk -v user="$1" '$1 != user { other = 1 } END { exit other || NR < 2 }'; }
# module_is VERSION: built and installed of that version, and of no other.
module_is() {
	in_boot dkms status | tee --append /dev/stderr |
		awk -v known="kvm_ept_sample/$1, $release, " 'index($0, known) != 1 || !/: installed/ { other = 1 } END { exit other || NR != 1 }'
}

test_upgrade() {
	# shellcheck disable=SC2034  # guest is set by start_guest
	local package guest version last=${LAST:-$work/debs}
	mkdir -p "$work/root/last" "$work/root/present"
	for package in virttier virttier-exporter kvm-ept-sample-dkms; do
		repack "$(ls "$last/${package}"_*.deb)" "$work/root/last/$package.deb" >> "$work/log" 2>&1 || die "$package cannot be made older: $(tail -n 1 "$work/log")"
		cp "$work/debs/${package}"_*.deb "$work/root/present/$package.deb"
	done
	version=$(dpkg-deb --field "$work/root/present/virttier.deb" Version)
	apt_get install systemd-sysv dbus qemu-system-x86 >> "$work/log" 2>&1 || die "no QEMU: $(tail -n 1 "$work/log")"

	in_root userdel virttier >> "$work/log" 2>&1	# of an earlier part
	check "upgrade: the last release installs" in_root env DEBIAN_FRONTEND=noninteractive sh -c 'apt-get -q -y --no-install-recommends install /last/*.deb'
	cat >> "$work/root/etc/virttier/virttier.yaml" <<-'END'
	libvirt: {source: off}
	sources: {pid_files: [/run/lodger.pid]}
	rules:
	  - match: {name: lodger}
	    set: {dram: 50%, mode: "off"}
	END
	cp "$work/root/etc/virttier/virttier.yaml" "$work/before.yaml"
	check "upgrade: the root boots" boot virttier.service virttier-exporter.socket
	check "upgrade: a guest runs" start_guest
	check "upgrade: the last release's agent knows it" guest_is_known
	check "upgrade: and is root's" test 0 = "$(agent_status Uid | cut -f 1)"
	check "upgrade: its module is built" module_is 0
	# Nothing was learned here, without KVM.
	in_boot sh -c 'umask 077 && mkdir -p /var/lib/virttier/heat && echo learned > /var/lib/virttier/heat/lodger'
	check "upgrade: as is what it has kept" kept_is_of root
	kept | cut -d' ' -f2- > "$work/kept"
	check "upgrade: its exporter answers" scrape 'virttier_up 1$'

	check "upgrade: the present packages install" in_boot env DEBIAN_FRONTEND=noninteractive sh -c \
		'apt-get -q -y -o Dpkg::Options::=--force-confold --no-install-recommends install /present/*.deb'
	check "upgrade: they are the present ones" in_root sh -c "! dpkg-query --show --showformat='\${Package} \${Version}\n' virttier virttier-exporter kvm-ept-sample-dkms | grep -v ' $version\$'"
	check "upgrade: the unit is as it was packed, and runs" in_boot systemctl is-active virttier
	check "upgrade: nothing has failed" in_boot sh -c '! systemctl --failed --plain --no-legend | grep -E "virttier"'
	check "upgrade: the agent runs as its own user" runs_as virttier
	check "upgrade: with the unit's capabilities and no others" has_capabilities
	check "upgrade: what root's agent has kept is its own" kept_is_of virttier
	check "upgrade: all of it" sh -c "kept() { find '$work/root/var/lib/virttier' -mindepth 1 -printf '%P\n' | sort; }; kept | comm -13 - '$work/kept' | grep . && exit 1
		grep -qx learned '$work/root/var/lib/virttier/heat/lodger'"
	check "upgrade: the host's own configuration stays" cmp "$work/root/etc/virttier/virttier.yaml" "$work/before.yaml"
	check "upgrade: the guest runs on" guest_runs
	check "upgrade: the agent knows it again" guest_is_known
	check "upgrade: and may be told to read its configuration again" in_boot systemctl reload virttier
	check "upgrade: its exporter answers anew" scrape 'virttier_up 1$'
	check "upgrade: with the module of the present version alone" module_is "$version"

	check "upgrade: they are removed" in_boot env DEBIAN_FRONTEND=noninteractive apt-get -q -y remove virttier virttier-exporter kvm-ept-sample-dkms
	check "upgrade: the configuration is kept" cmp "$work/root/etc/virttier/virttier.yaml" "$work/before.yaml"
	check "upgrade: and what was learned" grep -qx learned "$work/root/var/lib/virttier/heat/lodger"
	check "upgrade: they are purged" in_boot env DEBIAN_FRONTEND=noninteractive apt-get -q -y purge virttier virttier-exporter kvm-ept-sample-dkms
	check "upgrade: the guest runs on, once more" guest_runs
	check "upgrade: and nothing is left" finds_nothing /etc /usr /lib /var/lib '(' -name '*virttier*' -o -name '*kvm_ept_sample*' ')' \
		! -path '*/dpkg/*' ! -path '*/deb-systemd-*'
	halt
}
