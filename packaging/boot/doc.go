// Package boot installs Holdfast's packages in a Debian tree that a real
// systemd has booted, and does there what a hospital's administrator does from
// the first install to the purge. It has tests alone, under the build tag boot,
// which take root, systemd-nspawn and mmdebstrap; `make package-test` runs them.
//
// Nothing of it reaches the machine that it runs on: the tree lies on a tmpfs
// in mount, process and control group name spaces of its own, which end with
// the process that made them, and has a network of its own with nobody on it.
//
// Nothing imports it.
package boot
