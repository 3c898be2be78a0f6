module holdfast/packaging

go 1.26.0

require (
	github.com/CycloneDX/cyclonedx-go v0.12.0
	github.com/goreleaser/nfpm/v2 v2.47.0
	github.com/spf13/cobra v1.10.2
	holdfast v0.0.0
)

replace holdfast => ../
