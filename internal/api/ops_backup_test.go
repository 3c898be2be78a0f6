package api

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// copyist is a Backups that makes one backup whatever is asked of it.
type copyist struct{}

func (copyist) Backup(_ context.Context, _ BackupRequest, progress func(Progress)) (*Backup, error) {
	progress(Progress{Step: "log", Done: 1, Total: 2})
	return &Backup{What: "backup", OK: true, ID: "20261122T120000Z-7"}, nil
}

func (copyist) Drill(_ context.Context, _ DrillRequest, progress func(Progress)) (*Drill, error) {
	progress(Progress{Step: "copy", Done: 1, Total: 2})
	return &Drill{Drilled: Drilled{OK: true, ID: "20261122T120000Z-7", Size: 7}}, nil
}

func (copyist) Drilled(context.Context, Drilled) error { return nil }

func (copyist) Backups(context.Context) (*BackupsResponse, error) {
	return &BackupsResponse{Backups: []Backup{}}, nil
}

func TestBackupRequestsAreRead(t *testing.T) {
	for body, want := range map[string]bool{
		`{}`:                            true,
		`{"to":"/mnt/nas"}`:             true,
		`{"to":"mnt/nas"}`:              false,
		`{"to":"/mnt/../etc"}`:          false,
		`{"keys_to":"relative"}`:        false,
		`{"to":"/mnt/nas/"}`:            false,
		`{"to":"/mnt/\u0007"}`:          false,
		`{"to":"/mnt/nas","other":1}`:   false,
		`{"to":"/` + longPath() + `"}`:  false,
		`{"to":"/mnt/a","to":"/mnt/b"}`: false,
	} {
		s := &Server{Parts: Parts{}}
		w := &deadlined{httptest.NewRecorder()}
		err := s.backupRun(w, jsonRequest(t, body), &caller{})
		// Without the part the answer to a well-formed request is that there is none.
		p := problemOf(err)
		if got := p.Code == CodeNoPart; got != want {
			t.Errorf("%.40s: %s", body, p.Code)
		}
	}
}

func TestDrillRequestsAreRead(t *testing.T) {
	for body, want := range map[string]bool{
		`{}`: true,
		`{"from":"/a","keys_from":"/b","backup":"20261122T120000Z-7","temp":"/c"}`: true,
		`{"backup":"../x"}`:     false,
		`{"temp":"tmp"}`:        false,
		`{"from":"/a/../b"}`:    false,
		`{"keys_from":"b"}`:     false,
		`{"shares":"anything"}`: false,
	} {
		p := problemOf((&Server{}).backupDrill(&deadlined{httptest.NewRecorder()}, jsonRequest(t, body), &caller{}))
		if got := p.Code == CodeNoPart; got != want {
			t.Errorf("%s: %s", body, p.Code)
		}
	}
}

func TestDrillResultsAreRead(t *testing.T) {
	for body, want := range map[string]bool{
		`{"id":"20261122T120000Z-7","size":7,"root":"ab","ok":true,"bytes":1,"ms":1}`:                        true,
		`{"id":"20261122T120000Z-7","size":7,"root":"ab","ok":false,"error_class":"keys","bytes":1,"ms":1}`:  true,
		`{"id":"","size":0,"root":"","ok":false,"error_class":"none","bytes":0,"ms":1}`:                      true,
		`{"id":"20261122T120000Z-7","size":8,"root":"ab","ok":true,"bytes":1,"ms":1}`:                        false,
		`{"id":"20261122T120000Z-7","size":7,"root":"ab","ok":true,"error_class":"keys","bytes":1,"ms":1}`:   false,
		`{"id":"20261122T120000Z-7","size":7,"root":"ab","ok":false,"bytes":1,"ms":1}`:                       false,
		`{"id":"","size":0,"root":"","ok":true,"bytes":0,"ms":1}`:                                            false,
		`{"id":"../x","size":7,"root":"ab","ok":true,"bytes":1,"ms":1}`:                                      false,
		`{"id":"20261122T120000Z-7","size":7,"root":"ab","ok":true,"bytes":-1,"ms":1}`:                       false,
		`{"id":"20261122T120000Z-7","size":7,"root":"` + strings.Repeat("a", 65) + `","ok":true,"bytes":1}`:  false,
		`{"id":"20261122T120000Z-7","size":7,"root":"ab","ok":true,"bytes":1,"ms":1,"name":"somebody else"}`: false,
	} {
		p := problemOf((&Server{}).backupDrilled(&deadlined{httptest.NewRecorder()}, jsonRequest(t, body), &caller{}))
		if got := p.Code == CodeNoPart; got != want {
			t.Errorf("%s: %s", body, p.Code)
		}
	}
}

func longPath() string { return strings.Repeat("a", 5000) }

// jsonRequest is a request with a JSON body.
func jsonRequest(t *testing.T, body string) *http.Request {
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	return r
}

// examiner is an Examiner that finds nothing.
type examiner struct{}

func (examiner) Examine(context.Context) (*DoctorResponse, error) {
	return &DoctorResponse{Version: "test", Findings: []Finding{}}, nil
}
