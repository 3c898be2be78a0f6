package export

import (
	"encoding/json"
	"strings"
	"testing"
)

// A production by somebody who may work on some people's messages says so to
// whoever receives it, and inside whose they were.
func TestScopedProduction(t *testing.T) {
	w := furnish(t)
	whole, files := produce(t, w, request(all(w.a.Size())))
	if whole.Manifest.Scoped || strings.Contains(string(files[fileManifest].Data), "scoped") || strings.Contains(string(files[fileAnnex].Data), `"scope"`) {
		t.Error("a production of everybody's messages says that it is scoped")
	}
	req := request(all(w.a.Size()))
	req.Scope = []string{"department Cardiology"}
	req.Names = []Name{{Value: "lund", People: []string{"6f9619ff-8b86-d011-b42d-00cf4fc964ff"}, Usrs: []string{"u7"}}}
	part, files := produce(t, w, req)
	var annex annexHead
	must(t, json.Unmarshal(files[fileAnnex].Data, &annex))
	if !part.Manifest.Scoped || len(annex.Scope) != 1 || annex.Scope[0] != req.Scope[0] || len(annex.Names) != 1 || annex.Names[0].Usrs[0] != "u7" {
		t.Errorf("manifest %+v, annex %+v", part.Manifest, annex)
	}
	if strings.Contains(string(files[fileManifest].Data), "Cardiology") {
		t.Error("the manifest, which leaves the house, says whose")
	}
	if v := verify(t, files, w.logKey()); !v.OK() {
		t.Errorf("verified: %+v", v)
	}
}
