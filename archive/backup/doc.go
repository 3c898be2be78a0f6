// Package backup makes copies of an archive that can be put back, and puts
// them back: the data without its keys in one folder, the keyring as sealed to
// the recovery kit in another. Both folders are specified in
// archive/backup/FORMAT.md.
//
// A backup is the log as of one size with the bodies and attachments of its
// entries. It is made from a running archive, and counts from the moment at
// which its signed manifest, the last file written, is durable.
//
// Packages of floor 3 and above may import it: internal/daemon, which makes
// backups, and holdfastd, which puts them back.
package backup
