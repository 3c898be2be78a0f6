package doctor

import (
	"context"
	"fmt"

	"holdfast/archive"
	"holdfast/archive/proof"
)

// Included reads an entry's leaf and proves that the tree of so many entries
// includes it.
func Included(ctx context.Context, a *archive.Archive, seq, size uint64) error {
	leaf, err := a.Leaf(seq)
	if err != nil {
		return err
	}
	text, err := leaf.Marshal()
	if err != nil {
		return fmt.Errorf("entry %d: %w", seq, err)
	}
	path, err := a.Prove(ctx, seq, size)
	if err != nil {
		return err
	}
	root, err := a.Root(size)
	if err != nil {
		return err
	}
	return proof.CheckInclusion(path, proof.Checkpoint{Size: size, Root: root}, seq, proof.LeafHash(text))
}
