//go:build race

package export

// Under the race detector a signature costs twenty times as much.
const (
	byteChanges = 80
	crowdSize   = 600

	formatChanges = 30
	drawn         = "8" // cases of TestWhateverIsProducedIsVerified
)
