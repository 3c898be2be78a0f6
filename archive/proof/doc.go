// Package proof holds what a stranger needs to check Holdfast's log with
// neither the archive nor its keys: the leaf and its canonical bytes, the
// commitments to a record's body and note, the archive's identity, signed
// checkpoints, and the Merkle proofs of RFC 6962.
//
// It reads no file and opens nothing that is sealed. Every package may import
// it; it imports none of the project's but internal/ijson. Its bytes are
// specified in archive/FORMAT.md, sections 2 to 5.
package proof
