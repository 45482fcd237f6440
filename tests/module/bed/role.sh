# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2154  # work is of `packages`
# The Ansible role of packaging/ansible, from Debian's ansible-core, in the root that `packages` has made and boots: a plain QEMU runs
# there all the time as a guest. The root's network is a loopback, so packages come from files and from a repository in the root.

# role in_root|in_boot [OPTION...]: a run of the role there, as /role/vars.yml and the options say; prints what it did.
role() {
	local in=$1
	shift
	"$in" env HOME=/root LC_ALL=C.UTF-8 ansible-playbook --inventory localhost, --connection local --extra-vars @/role/vars.yml "$@" \
		/role/site.yml > "$work/role.log" 2>&1
	local status=$?
	cat "$work/role.log"
	return $status
}
# changes COUNT-PATTERN ...: the run succeeds and changes so many things.
changes() {
	local count=$1
	shift
	role "$@" && grep -qE "changed=$count +unreachable=0 +failed=0" "$work/role.log"
}
# refuses MISTAKE ...: the run fails, and says why.
refuses() {
	local mistake=$1
	shift
	! role "$@" && grep -q "$mistake" "$work/role.log"
}
# examples: the variables that docs/fleet.md shows, each block a file.
examples() {
	mkdir "$work/root/role/examples"
	awk -v folder="$work/root/role/examples" '
		/^```yaml$/ { block = ""; inside = 1; next }
		/^```$/ && inside { inside = 0; if (block ~ /virttier_configuration:/) { file = folder "/" ++count ".yml"; printf "%s", block > file } }
		inside { block = block $0 "\n" }' "$HERE/../../docs/fleet.md"
}
examples_hold() {
	local file count=0
	for file in "$work"/root/role/examples/*.yml; do
		role in_boot --check --extra-vars "@/role/examples/$(basename "$file")" && count=$((count + 1)) || return 1
	done
	[ "$count" -ge 5 ]
}
wants() { cat > "$work/root/role/vars.yml"; }
agent_pid() { in_boot systemctl show --property=MainPID --value virttier; }

test_role() {
	# shellcheck disable=SC2034  # guest is set by start_guest
	local agent guest good
	mkdir -p "$work/root/role/roles" "$work/root/role/debs" "$work/root/repository"
	cp -r "$HERE/../../packaging/ansible/roles/virttier" "$work/root/role/roles/"
	cp "$work"/debs/virttier_*.deb "$work"/debs/virttier-exporter_*.deb "$work/root/role/debs/"
	(cd "$work/root/role/debs" && ls ./*.deb | sort --version-sort) >> "$work/log"
	cat > "$work/root/role/site.yml" <<-END
	---
	- name: VirtTier
	  hosts: all
	  gather_facts: false
	  roles:
	    - virttier
	END
	files="virttier_debs: [$(cd "$work/root" && printf '/%s,' role/debs/virttier_*.deb role/debs/virttier-exporter_*.deb)]"
	wants <<-END
	$files
	virttier_configuration: {defaults: {mode: observe}}
	END
	apt_get install ansible-core ansible-lint systemd-sysv dbus qemu-system-x86 >> "$work/log" 2>&1 || die "no Ansible: $(tail -n 1 "$work/log")"
	check "role: $(in_root ansible-lint --version --nocolor --offline 2> /dev/null | head -n 1 | cut -d' ' -f1-2) finds nothing" in_root env HOME=/root LC_ALL=C.UTF-8 \
		sh -c 'cd /role && ansible-lint --offline --nocolor site.yml roles/virttier'
	check "role: its syntax" role in_root --syntax-check
	in_root apt-get -q -y remove python3-apt >> "$work/log" 2>&1
	check "role: check mode, on a host that has not even python3-apt" changes '[1-9]' in_root --check
	apt_get install python3-apt >> "$work/log" 2>&1 || die "no python3-apt: $(tail -n 1 "$work/log")"

	check "role: the root boots" boot dbus.service
	check "role: a guest runs" start_guest
	check "role: check mode, on a host without VirtTier" changes '[1-9]' in_boot --check
	check "role: which has none afterwards" not is_installed

	wants <<-END
	$files
	virttier_configuration: {defaults: {mode: sometimes}}
	END
	check "role: a first configuration that cannot be used is refused" refuses "'sometimes' is not a mode" in_boot
	check "role: and no agent runs without one" not in_boot systemctl is-active virttier
	wants <<-END
	$files
	virttier_configuration:
	  defaults: {mode: observe}
	  libvirt: {source: off}
	END
	check "role: the first run installs" changes '[1-9]' in_boot
	check "role: the agent runs and is enabled" in_boot systemctl --quiet is-active virttier
	check "role: and after a boot" in_boot systemctl --quiet is-enabled virttier
	check "role: the second run changes nothing" changes 0 in_boot
	check "role: nor would one in check mode" changes 0 in_boot --check

	agent=$(agent_pid)
	good="$files
virttier_configuration:
  defaults: {mode: observe}
  libvirt: {source: off}
  sources: {pid_files: [/run/lodger.pid]}
  rules:
    - match: {name: lodger}
      set: {dram: 50%, mode: 'off'}"
	wants <<< "$good"
	check "role: check mode tells of another configuration" changes 2 in_boot --check
	check "role: another configuration is written, and reloaded" changes 2 in_boot
	check "role: it holds: the agent knows the guest" guest_is_known
	check "role: as the agent that ran before" test "$agent" = "$(agent_pid)"
	examples
	check "role: the configurations of docs/fleet.md can be used" examples_hold
	cp "$work/root/etc/virttier/virttier.yaml" "$work/before.yaml"
	wants <<-END
	$files
	virttier_configuration: {pool: {dram: plenty}}
	END
	check "role: check mode finds a mistake" refuses "'plenty' is not a size" in_boot --check
	check "role: a configuration that cannot be used is refused" refuses "'plenty' is not a size" in_boot
	check "role: the old one stays" cmp "$work/root/etc/virttier/virttier.yaml" "$work/before.yaml"
	check "role: and its agent" test "$agent" = "$(agent_pid)"
	wants <<-END
	virttier_state: sometimes
	END
	check "role: a word that is none of the role's is refused" refuses 'virttier_state must be one of' in_boot

	wants <<< "virttier_state: absent"
	check "role: check mode tells of the removal" changes '[1-9]' in_boot --check
	check "role: and removes nothing" is_installed
	check "role: it removes" changes '[1-9]' in_boot
	check "role: the packages" not is_installed
	check "role: the guest runs on" guest_runs
	check "role: the configuration is kept" cmp "$work/root/etc/virttier/virttier.yaml" "$work/before.yaml"
	check "role: the second removal changes nothing" changes 0 in_boot

	# Nothing else can be reached from there.
	rm -rf "$work/root"/etc/apt/sources.list "$work/root"/etc/apt/sources.list.d/*
	mv "$work"/root/role/debs/*.deb "$work/root/repository/"
	(cd "$work/root/repository" && dpkg-scanpackages --multiversion . > Packages) 2>> "$work/log"
	echo "deb [trusted=yes] file:/repository ./" > "$work/root/etc/apt/sources.list"
	good=${good#*$'\n'}
	wants <<< "virttier_packages: [virttier, virttier-exporter]
$good"
	check "role: it installs from a repository" changes '[1-9]' in_boot
	check "role: with its configuration from the first moment" guest_is_known
	check "role: the second run changes nothing there" changes 0 in_boot
	wants <<< "{virttier_state: absent, virttier_purge: true}"
	check "role: it purges" changes '[1-9]' in_boot
	check "role: all of it" finds_nothing /etc /usr /lib /var -name '*virttier*' \
		! -path '*/dpkg/*' ! -path '*/deb-systemd-*' ! -path '*/apt/*' ! -path '/var/log/*'
	check "role: the guest runs on, once more" guest_runs
	check "role: the second purge changes nothing" changes 0 in_boot
	halt
}
