package api

import (
	"time"

	"holdfast/internal/role"
)

// TagsShowRequest asks for the tags of one entry.
type TagsShowRequest struct {
	Seq uint64 `json:"seq"`
}

// TagsShowResponse has every tag that an entry has or had, in the order in which
// they were put on. Tags of other people's matters that were taken off are left
// out.
type TagsShowResponse struct {
	Seq  uint64   `json:"seq"`
	Tags []Tagged `json:"tags"`
}

// Tagged is one tag of an entry. Whoever may not know of its matter sees Held in
// the matter's place and the tag alone.
type Tagged struct {
	Tag         string          `json:"tag"` // "privileged", "psychotherapy" or "part2"
	Matter      string          `json:"matter"`
	Basis       string          `json:"basis,omitempty"`       // as privilege logs give it
	Description string          `json:"description,omitempty"` // likewise
	Clawback    bool            `json:"clawback,omitempty"`    // by a clawback
	At          *time.Time      `json:"at,omitempty"`
	By          *role.Principal `json:"by,omitempty"`
	Reason      string          `json:"reason,omitempty"`
	Removed     *Untagged       `json:"removed,omitempty"`
}

// Untagged says who took a tag off, or put it on anew in other words.
type Untagged struct {
	At     time.Time      `json:"at"`
	By     role.Principal `json:"by"`
	Reason string         `json:"reason"`
}

// TagsListRequest asks which entries a matter has tagged.
type TagsListRequest struct {
	Matter string `json:"matter"`
	Tag    string `json:"tag"`
	After  uint64 `json:"after,omitempty"` // only entries above this seq: the next page
	Limit  int    `json:"limit,omitempty"` // 1..MaxLimit; 0 means DefaultLimit
}

// TagsListResponse names the entries, ascending.
type TagsListResponse struct {
	Matter string   `json:"matter"`
	Tag    string   `json:"tag"`
	Total  uint64   `json:"total"` // on all pages
	Seqs   []uint64 `json:"seqs"`
}

// TagRequest puts a tag on entries for a matter, or takes one off.
type TagRequest struct {
	Tag         string   `json:"tag"`
	Matter      string   `json:"matter"`
	Seqs        []uint64 `json:"seqs"` // 1..audit.MaxSeqs
	Remove      bool     `json:"remove,omitempty"`
	Basis       string   `json:"basis,omitempty"`       // for privilege logs, which leave the house
	Description string   `json:"description,omitempty"` // likewise
	Reason      string   `json:"reason"`
}

// TagResponse says what a change of tags came to.
type TagResponse struct {
	Matter string `json:"matter"`
	Tag    string `json:"tag"`
	Total  uint64 `json:"total"` // entries that have the tag by the matter now
}

// ProductionsRequest asks for the productions that the caller may see, or for a
// matter's.
type ProductionsRequest struct {
	Matter string `json:"matter,omitempty"`
}

// ProductionsResponse lists productions, newest first.
type ProductionsResponse struct {
	Productions []MadeProduction `json:"productions"`
}

// ProductionRequest asks for one production.
type ProductionRequest struct {
	Seq uint64 `json:"seq"`
}

// Disclosee is who gets a production.
type Disclosee struct {
	Name    string `json:"name"`
	Address string `json:"address,omitempty"`
}

// MadeProduction is one production. Unfinished and failed ones were never made.
type MadeProduction struct {
	Seq         uint64         `json:"seq"` // of the entry that began it: its number
	Matter      string         `json:"matter,omitempty"`
	State       string         `json:"state"` // "unfinished", "made" or "failed"
	Query       string         `json:"query,omitempty"`
	Language    int            `json:"language,omitempty"`
	Format      string         `json:"format"`
	At          uint64         `json:"at"` // size of the log that it is as of
	Recipient   Disclosee      `json:"recipient"`
	Purpose     string         `json:"purpose"`
	About       string         `json:"about,omitempty"`
	Description string         `json:"description,omitempty"`
	Include     []string       `json:"include,omitempty"` // tags whose messages were produced all the same
	Authority   string         `json:"authority,omitempty"`
	Bates       string         `json:"bates,omitempty"`    // numbers that are in it: "ABC0000001..ABC0000120"
	Reserved    string         `json:"reserved,omitempty"` // numbers that it used up, whatever became of it
	Began       time.Time      `json:"began"`
	Ended       *time.Time     `json:"ended,omitempty"`
	By          role.Principal `json:"by"`
	Code        string         `json:"code,omitempty"` // why it failed
	Access      uint64         `json:"access,omitempty"`
	Made        *MadeCounts    `json:"made,omitempty"`
	ClawedBack  []ClawedBack   `json:"clawed_back,omitempty"`
}

// MadeCounts is what a production came to.
type MadeCounts struct {
	Manifest string `json:"manifest"` // SHA-256 of its signed manifest, hex
	Files    uint64 `json:"files"`
	Bytes    uint64 `json:"bytes"`
	Matched  uint64 `json:"matched"`
	Produced uint64 `json:"produced"`
	Withheld uint64 `json:"withheld"`
	Redacted uint64 `json:"redacted"`
	Patients uint64 `json:"patients"` // medical record numbers
}

// ClawedBack is what was asked back of a production.
type ClawedBack struct {
	Clawback uint64    `json:"clawback"` // its number
	Bates    string    `json:"bates"`
	At       time.Time `json:"at"`
}

// DisclosuresRequest asks for the accounting of what was disclosed of a patient.
type DisclosuresRequest struct {
	MRN    string `json:"mrn"`
	Since  string `json:"since,omitempty"` // a date, an RFC 3339 time, or so far back: "-90d", "-6y"; six years back if empty
	All    bool   `json:"all,omitempty"`   // those that an accounting may leave out as well
	Reason string `json:"reason"`
}

// DisclosuresResponse is an accounting after 45 CFR 164.528.
type DisclosuresResponse struct {
	MRN         string       `json:"mrn"`
	Since       time.Time    `json:"since"`
	Until       time.Time    `json:"until"`
	Disclosures []Disclosure `json:"disclosures"` // in the order in which they were made
	Left        uint64       `json:"left_out"`    // exempt ones that were left out
	Notes       []string     `json:"notes"`       // what the accounting cannot tell
	Unfinished  []uint64     `json:"unfinished"`  // productions of which nobody can say whether they concern the patient
}

// Disclosure is one disclosure, as 45 CFR 164.528(b)(2) has it.
type Disclosure struct {
	Production  uint64    `json:"production"`
	At          time.Time `json:"at"`
	Recipient   Disclosee `json:"recipient"`
	Description string    `json:"description"`
	Purpose     string    `json:"purpose"`
	About       string    `json:"about,omitempty"`
	Exempt      bool      `json:"exempt"`            // an accounting may leave it out, 45 CFR 164.528(a)(1)
	Partial     bool      `json:"partial,omitempty"` // it was cut off: some of it was handed out, with this patient's messages or without
	Matter      string    `json:"matter,omitempty"`
}

// ClawbackRequest asks back what a matter produced under Bates numbers.
type ClawbackRequest struct {
	Matter string `json:"matter"`
	From   string `json:"from"` // a Bates number, as it is printed
	To     string `json:"to"`   // likewise; included
	Reason string `json:"reason"`
}

// ClawbacksRequest asks for what a matter asked back.
type ClawbacksRequest struct {
	Matter string `json:"matter"`
}

// ClawbacksResponse lists clawbacks, newest first, without their notices.
type ClawbacksResponse struct {
	Clawbacks []Clawback `json:"clawbacks"`
}

// ClawbackShowRequest asks for one clawback.
type ClawbackShowRequest struct {
	Seq uint64 `json:"seq"`
}

// Clawback is what was asked back. Sending the notices is for people.
type Clawback struct {
	Seq     uint64           `json:"seq"` // its number
	Matter  string           `json:"matter"`
	Bates   string           `json:"bates"`
	Entries uint64           `json:"entries"` // that were tagged privileged
	At      time.Time        `json:"at"`
	By      role.Principal   `json:"by"`
	Reason  string           `json:"reason"`
	Notices []ClawbackNotice `json:"notices,omitempty"`
}

// ClawbackNotice is what is to be sent to one recipient.
type ClawbackNotice struct {
	Production uint64    `json:"production"`
	Recipient  Disclosee `json:"recipient"`
	Bates      string    `json:"bates"` // what of the production is asked back
	Text       string    `json:"text"`
}

// SearchesRequest asks for a matter's saved searches.
type SearchesRequest struct {
	Matter string `json:"matter"`
}

// SearchesResponse lists saved searches, by name.
type SearchesResponse struct {
	Matter   string        `json:"matter"`
	Searches []SavedSearch `json:"searches"`
}

// SavedSearch is a query that a matter keeps under a name.
type SavedSearch struct {
	Name     string         `json:"name"`
	Query    string         `json:"query"`    // as it was typed: what is relative is read when it is run
	Language int            `json:"language"` // the query language's version
	At       time.Time      `json:"at"`
	By       role.Principal `json:"by"`
	Reason   string         `json:"reason,omitempty"`
}

// SaveSearchRequest keeps a query for a matter.
type SaveSearchRequest struct {
	Matter string `json:"matter"`
	Name   string `json:"name"` // that no saved search of the matter has
	Query  string `json:"query"`
	Reason string `json:"reason,omitempty"`
}

// RemoveSearchRequest takes a saved search away.
type RemoveSearchRequest struct {
	Matter string `json:"matter"`
	Name   string `json:"name"`
	Reason string `json:"reason,omitempty"`
}
