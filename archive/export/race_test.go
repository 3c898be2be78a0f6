//go:build race

package export

// Under the race detector a signature costs twenty times as much.
const (
	byteChanges = 150
	crowdSize   = 600

	formatChanges = 60
	drawn         = "8" // cases of TestWhateverIsProducedIsVerified
)
