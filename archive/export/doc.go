// Package export makes productions and verifies them. A production is a
// folder (or zip) of entries as JSON lines with all that a stranger needs to
// check them offline: the proofs, the custody list, the checksums and a signed
// manifest. Verify trusts nothing but the log key that its caller brings.
//
// Floors 3 and up may import it. It writes no file itself: Produce writes into
// a Sink, Verify reads an fs.FS. Every file is specified in
// archive/export/FORMAT.md.
package export
