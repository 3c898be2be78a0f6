package main

import (
	"bytes"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"fmt"
	"os"
	"strings"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"
)

// billOf returns the software bill of materials (CycloneDX 1.6, JSON) of a
// built program: what its own build record says is in it, so that
// `go version -m` on an installed program shows the same.
func billOf(program, version string, epoch int64, notices []notice) ([]byte, error) {
	binary, err := os.ReadFile(program) // #nosec G304 -- built a moment ago
	if err != nil {
		return nil, err
	}
	info, err := buildinfo.Read(bytes.NewReader(binary))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", program, err)
	}
	licences := map[string][]string{}
	for _, n := range notices {
		licences[n.name] = n.ids
	}
	sum := sha256.Sum256(binary)
	name := info.Path[strings.LastIndexByte(info.Path, '/')+1:]
	subject := cdx.Component{
		BOMRef: name, Type: cdx.ComponentTypeApplication, Name: name, Version: version, Licenses: licensed([]string{"Apache-2.0"}),
		Hashes: &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: hex.EncodeToString(sum[:])}},
	}
	var settings []cdx.Property
	for _, s := range info.Settings {
		settings = append(settings, cdx.Property{Name: "golang:build:" + s.Key, Value: s.Value})
	}
	subject.Properties = &settings

	library := "pkg:golang/std@" + strings.TrimPrefix(info.GoVersion, "go")
	components := []cdx.Component{{
		BOMRef: library, Type: cdx.ComponentTypeLibrary, Name: "std", Version: info.GoVersion, PackageURL: library, Scope: cdx.ScopeRequired, Licenses: licensed([]string{"BSD-3-Clause"}),
	}}
	needs := []string{library}
	for _, m := range info.Deps {
		if m.Replace != nil {
			return nil, fmt.Errorf("%s is replaced by %s: what is packaged has to be what go.mod names", m.Path, m.Replace.Path)
		}
		purl := "pkg:golang/" + m.Path + "@" + m.Version
		ids, known := licences[m.Path]
		if !known {
			return nil, fmt.Errorf("%s is in %s and its licence was not read", m.Path, name)
		}
		components = append(components, cdx.Component{
			BOMRef: purl, Type: cdx.ComponentTypeLibrary, Name: m.Path, Version: m.Version, PackageURL: purl, Scope: cdx.ScopeRequired, Licenses: licensed(ids),
			// The sum of the module's tree as go.sum has it, which is no hash of a file.
			Properties: &[]cdx.Property{{Name: "golang:sum", Value: m.Sum}},
		})
		needs = append(needs, purl)
	}
	for _, n := range notices {
		if n.version == "" { // no module: what is embedded
			components = append(components, cdx.Component{BOMRef: n.name, Type: cdx.ComponentTypeData, Name: n.name, Scope: cdx.ScopeRequired, Licenses: licensed(n.ids)})
			needs = append(needs, n.name)
		}
	}
	bom := cdx.NewBOM()
	bom.SerialNumber = serial(sum)
	bom.Metadata = &cdx.Metadata{Timestamp: time.Unix(epoch, 0).UTC().Format(time.RFC3339), Component: &subject}
	bom.Components = &components
	bom.Dependencies = &[]cdx.Dependency{{Ref: name, Dependencies: &needs}}
	var b bytes.Buffer
	err = cdx.NewBOMEncoder(&b, cdx.BOMFileFormatJSON).SetPretty(true).EncodeVersion(bom, cdx.SpecVersion1_6)
	return b.Bytes(), err
}

func licensed(ids []string) *cdx.Licenses {
	var list cdx.Licenses
	for _, id := range ids {
		list = append(list, cdx.LicenseChoice{License: &cdx.License{ID: id}})
	}
	return &list
}

// serial is a UUID of version 8 (RFC 9562 section 5.8) made of the program's
// hash, so that the same program has the same bill.
func serial(sum [sha256.Size]byte) string {
	u := sum[:16]
	u[6] = u[6]&0x0f | 0x80
	u[8] = u[8]&0x3f | 0x80
	return fmt.Sprintf("urn:uuid:%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:])
}
