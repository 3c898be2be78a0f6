//go:build !race

package export

const (
	byteChanges = 1000 // of TestEveryByteCounts
	crowdSize   = 3000 // of TestMemoryDoesNotGrow

	formatChanges = 600  // of TestEveryChangeOfEveryFormatIsNamed
	drawn         = "40" // cases of TestWhateverIsProducedIsVerified
)
