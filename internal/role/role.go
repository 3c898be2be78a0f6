// Package role says who may do what: the principals who ask, the roles that
// they hold, and one table of role × endpoint that is the whole of it. It
// decides nothing about who somebody is; internal/auth does, from the
// directory's groups and the appliance's accounts.
//
// Every floor may import it, and the commands print its table.
package role

import (
	"fmt"
	"slices"
	"time"
)

// Role is a set of endpoints that somebody needs for one kind of work, and no
// others (least privilege, 45 CFR 164.308(a)(4)).
type Role string

// The roles.
const (
	Administrator     Role = "administrator"      // runs the machine and the directory's connection; reads no message
	RecordsManager    Role = "records-manager"    // schedules and disposition plans; reads no message
	ComplianceOfficer Role = "compliance-officer" // searches, holds, exports
	Approver          Role = "approver"           // the second person of what takes two; reads no message
	Auditor           Role = "auditor"            // reads the audit and verifies the store; reads no message
)

var all = []Role{Administrator, RecordsManager, ComplianceOfficer, Approver, Auditor}

// All returns the roles in the order of the table's columns.
func All() []Role { return slices.Clone(all) }

// Parse reads a role's name.
func Parse(s string) (Role, error) {
	if r := Role(s); slices.Contains(all, r) {
		return r, nil
	}
	return "", fmt.Errorf("there is no role of that name; roles are %v", all)
}

// Grant is one role that a principal holds, and how far it goes.
type Grant struct {
	Role Role `json:"role"`
	// Department and OU, where not empty, narrow the role to messages sent or
	// received by people who were in that department, or below that
	// organisational unit (its DN), at the time. They narrow what is read,
	// and are compared without case.
	Department string `json:"department,omitempty"`
	OU         string `json:"ou,omitempty"`
	// Until, where set, is when the role ends.
	Until *time.Time `json:"until,omitempty"`
	// Source says where it comes from: the name of the directory's group, or of
	// the configuration's account.
	Source string `json:"source,omitempty"`
}

// Scoped reports whether the grant is narrowed to some people's messages.
func (g Grant) Scoped() bool { return g.Department != "" || g.OU != "" }

// Current reports whether the grant still holds at now.
func (g Grant) Current(now time.Time) bool { return g.Until == nil || now.Before(*g.Until) }

// Scope is on whose messages a principal may work: everybody's, or those of
// the people of any of the grants.
type Scope struct {
	All bool
	Of  []Grant // scoped grants; empty if All
}

// Allowed returns whether one of the grants gives the endpoint at now, and on
// whose messages. An unscoped grant outweighs scoped ones.
func Allowed(grants []Grant, e Endpoint, now time.Time) (Scope, bool) {
	var s Scope
	ok := false
	for _, g := range grants {
		if !g.Current(now) || !Allows(g.Role, e) {
			continue
		}
		ok = true
		if !g.Scoped() {
			return Scope{All: true}, true
		}
		s.Of = append(s.Of, g)
	}
	if !ok && slices.Contains(anyone, e) {
		return Scope{All: true}, true
	}
	return s, ok
}

// Has reports whether one of the grants is of role r at now.
func Has(grants []Grant, r Role, now time.Time) bool {
	return slices.ContainsFunc(grants, func(g Grant) bool { return g.Role == r && g.Current(now) })
}
