# SPDX-License-Identifier: Apache-2.0
.DEFAULT_GOAL := help
.PHONY: help deps browser build cockpit lint demo demo-sockets demo-sockets-dram demo-tiers demo-splits deb rpm oci-image dist test test-unit test-host test-emulated test-cockpit test-module storm bench-module module-matrix on-metal test-debug-kernel test-kvm-hook test-kvm-selftests test-harmless
.PHONY: record-programs document-pictures footprint test-packages test-role-on-host test-many-guests record-guests bench-tiering bench-tiering-native bench-migration bench-reaction microbench chaos clean bench-peers bench-quiet bench-progress bench-split-cost

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 20

deps: ## install the Debian packages that building and testing need
	@testbed/install-deps

build: ## build everything
	dotnet build VirtTier.sln --configuration Release --nologo --verbosity quiet

cockpit: deps ## the page for Cockpit and that of virttier report, in out/cockpit
	src/cockpit-virttier/build out/cockpit

lint: deps ## the style that no compiler checks: shell scripts, licence lines, length of C# lines
	tests/lint

demo: deps build ## the main job: a host, the agent, real guests, and the proof
	dotnet run --project testbed/VirtTier.Demo --configuration Release --no-build

demo-sockets: deps build ## the same on two sockets with a slow node behind each: hot pages on the right fast node
	dotnet run --project testbed/VirtTier.Demo --configuration Release --no-build -- sockets

demo-sockets-dram: deps build ## on two sockets without a slow tier: hot pages follow their guest
	dotnet run --project testbed/VirtTier.Demo --configuration Release --no-build -- sockets-dram

demo-tiers: deps build ## on three tiers: cold pages go down one step at a time
	dotnet run --project testbed/VirtTier.Demo --configuration Release --no-build -- tiers

demo-splits: deps build ## huge pages that a few small pages carry: split, placed one by one, and joined again
	dotnet run --project testbed/VirtTier.Demo --configuration Release --no-build -- splits

deb: deps ## Debian packages of the agent, its hook and the module, in out/debs, judged by lintian
	LINTIAN=yes packaging/build-debs

rpm: deps ## RPM packages of the same, in out/rpms, installed into a root and verified there
	testbed/install-deps rpm
	packaging/build-rpms

oci-image: deps ## an image for Kubernetes from the Debian packages, in out/oci, made twice and tried: DEBS=packages that are built
	$(if $(DEBS),,PACKAGES="agent kubernetes" packaging/build-debs out/oci-debs)
	DEBS=$(or $(DEBS),out/oci-debs) packaging/oci-image out/oci
	DEBS=$(or $(DEBS),out/oci-debs) packaging/oci-image out/oci-again
	tests/oci-image out/oci/virttier out/oci-again/virttier
	rm -rf out/oci-again

dist: deb rpm ## all that a release has, in out/dist: source, packages, checksums
	rm -rf out/dist && packaging/source-tarball out/dist
	cp out/debs/*.deb out/rpms/*.rpm out/dist
	cd out/dist && sha256sum * > SHA256SUMS && cat SHA256SUMS

# What the page in Cockpit is tested with.
browser: deps
	@testbed/install-deps chromium fonts-dejavu-core cockpit-ws cockpit-bridge cockpit-system

test: deps browser ## every test; ends with a count of all rings
	tests/run lint unit cockpit host emulated

test-unit: ## no root, no daemons
	tests/run unit

test-host: browser ## real libvirt, D-Bus, QEMU and Cockpit in namespaces of their own
	tests/run host

test-emulated: deps ## an emulated host with the module, the agent and KVM guests
	tests/run emulated

test-cockpit: browser ## the page for Cockpit in a browser, and what needs none: FILES='page heat' PICTURES=DIR
	tests/cockpit

document-pictures: browser ## the pictures of the page that documents show, anew
	FILES=page DOCUMENT_PICTURES=$(CURDIR)/docs/images tests/cockpit

# $(call run-class,PROJECT,CLASS,OPTION...): builds a test project and runs one class of it.
run-class = dotnet build tests/$(1) --configuration Release --nologo --verbosity quiet && \
	tests/$(1)/bin/Release/net10.0/$(1) -noColor -noLogo -class '*$(2)' $(3)

# What the module's targets run on: HOST is amd or intel, KERNEL 6.1, 6.12 or 7.3.
HOST ?= amd
KERNEL ?= 6.1
MINUTES ?= 10

test-module: deps ## the module's tests on one host: HOST=amd|intel KERNEL=6.1|6.12|7.3
	HOST=$(HOST) KERNEL=$(KERNEL) tests/module/run

storm: deps ## guests and samplers live, die and are killed for MINUTES=10: HOST= KERNEL=
	HOST=$(HOST) KERNEL=$(KERNEL) MINUTES=$(MINUTES) LIMIT=$$(($(MINUTES) * 60 + 900)) tests/module/run storm

test-packages: browser ## the packages install, build the module and go in a root of KERNEL=6.1 (Debian 12), 6.12 or 7.3 (13), by hand, from the last release, and by Ansible: PARTS=role
	KERNEL=$(KERNEL) tests/module/packages

bench-module: deps ## what sampling costs, as ratios and counts: HOST= KERNEL=
	HOST=$(HOST) KERNEL=$(KERNEL) tests/module/run bench

bench-progress: deps ## what a guest loses while the whole agent is at work, in instructions of the Intel host, with a bar
	HOST=intel KERNEL=$(KERNEL) tests/module/run agent_progress

module-matrix: deps ## every kernel, vendor and flavour, for hours; puts the results into kernel-module/README.md
	MINUTES=1000 WRITE=kernel-module/README.md tests/module/matrix $(foreach kernel,6.1 6.12 7.2 7.3,$(foreach host,amd intel,$(host)/$(kernel)/all)) \
		amd/6.1-rt/all amd/7.3-rt/all amd/6.1-debug/all amd/6.12-debug/all

on-metal: ## as root, on an idle host with KVM: MINUTES=10 of a throw-away guest and one page that says whether the module is good there
	MINUTES=$(MINUTES) kernel-module/on-metal

KVM_KERNELS ?= 6.1 7.3

test-kvm-selftests: deps ## KVM's own tests, with and without the module watching their guests: HOST=amd KVM_KERNELS="6.1 7.3"
	MINUTES=1000 LIMIT=14400 tests/module/matrix $(KVM_KERNELS:%=$(HOST)/%/kvm)

test-harmless: deps ## guests that check their own memory while it is harvested, sampled, moved, split and tiered: PARTS="module agent" MOVES=100000 AGENT_MOVES=100000
	tests/harmless

test-debug-kernel: deps ## the module's tests and a storm on a KERNEL=6.1|6.12 with KASAN, lockdep and the like; builds it once
	HOST=amd KERNEL=$(KERNEL)-debug MINUTES=$(MINUTES) LIMIT=$$(($(MINUTES) * 60 + 3600)) tests/module/run \
		test_abi test_harvest test_faults test_seed_demo test_nested test_lifecycle storm test_harvest@legacy_mmu test_faults@legacy_mmu

test-role-on-host: deps ## the Ansible role over SSH on an emulated host where a guest runs: DKMS builds, the agent tiers, removal; DEBS=built packages
	$(call run-class,VirtTier.EndToEnd.Tests,RoleOnHostTests,-diagnostics)

test-kvm-hook: deps ## kernel_patch/kvm-hook on a host: builds KVM from Debian's source
	$(call run-class,VirtTier.Testbed.Tests,KvmHookTests)

footprint: deps ## what the agent and its tool take on a host: disk, CPU of a command, memory when idle and with ten guests
	packaging/footprint
	$(call run-class,VirtTier.EndToEnd.Tests,RoleOnHostTests,-diagnostics)

record-guests: deps ## record real Linux guests in an emulated host anew, as test data of the planner
	testbed/recordings/record

record-programs: deps ## record redis, postgres, memcached and lua by valgrind's lackey anew, as test data of the planner
	testbed/recordings/programs

bench-tiering: ## the bars for placement decisions, on generated workloads
	dotnet run --project bench/VirtTier.Bench --configuration Release -- tiering

bench-tiering-native: deps ## the planner's throughput as it is installed, compiled ahead of time, against the JIT's
	bench/throughput-native

BENCHMARKS ?= *

microbench: ## harvest intake, plan, mover's bookkeeping, bus round trip, with BenchmarkDotNet: BENCHMARKS='*Mover*'
	dotnet run --project bench/VirtTier.Microbench --configuration Release -- --filter '$(BENCHMARKS)'

bench-migration: deps ## the bars for moving pages, in an emulated host with two NUMA nodes
	dotnet run --project bench/VirtTier.Bench --configuration Release -- migration

PEERS ?=
PEER_SECONDS ?= 60

bench-split-cost: ## as root: what accesses take longer in 2 MiB pages that are split, on this machine
	dotnet run --project bench/VirtTier.Bench --configuration Release -- split-cost

bench-quiet: deps ## what the agent takes of a CPU for ten guests that change nothing, as it is installed, with bars
	bench/quiet

bench-peers: deps ## DAMON and NUMA balancing beside VirtTier with the same guests, in an emulated host with kernel 7.3, with bars; parts of it: PEERS='damon virttier shifting'
	testbed/install-deps mmdebstrap zstd
	dotnet run --project bench/VirtTier.Bench --configuration Release -- peers $(PEER_SECONDS) $(PEERS)

bench-reaction: deps ## from a VM's start to its sampler, and from metadata to budget, in virsh round trips
	dotnet run --project bench/VirtTier.Bench --configuration Release -- reaction

test-many-guests: deps ## 200 real QEMUs come and go in the host ring: all attached, none leaked
	$(call run-class,VirtTier.Agent.Tests,ManyGuestsTests,-showLiveOutput)

RUNS ?= 10
SEED ?= 1
SOURCE ?= dbus

chaos: deps ## random events and failures against the real libvirt: RUNS=10 SEED=1 SOURCE=dbus|files|pods|proxmox|qemu; each seed replays
	export VIRTTIER_CHAOS_RUNS=$(RUNS) VIRTTIER_CHAOS_SEED=$(SEED) VIRTTIER_CHAOS_SOURCE=$(SOURCE); $(call run-class,VirtTier.Agent.Tests,ChaosTests,-showLiveOutput)

clean: ## remove what was built here (the cached host image stays; see testbed/testbed)
	rm -rf out TestResults
	find src tests testbed bench -depth -type d \( -name bin -o -name obj \) -exec rm -rf {} +
	$(MAKE) -s -C kernel-module clean
