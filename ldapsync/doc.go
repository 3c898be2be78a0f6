// Package ldapsync keeps the archive's people and groups in step with an
// Active Directory, and asks it whether a person's password is right.
//
// A synchronisation reads everything below the configured bases from one
// domain controller, whole or not at all (Read), compares it with what the log
// says now (Diff), lets the rails judge what would change (Rails), and appends
// every change as one entry of its own. What the rails refuse is frozen: the
// very same changes are applied once another person approves them (Apply), or
// never.
//
// While a diff waits, the log stays as it is, but access fails closed: whoever
// the directory says is disabled or expired is Suspended at once. That alone is
// immediate. Who was taken out of a group that gives a role keeps the role, and
// who is missing keeps their access, until the diff is decided; and when the
// reading loses too many people or groups at once, so does everybody, because
// it may be the reading that is wrong.
//
// People and groups are known by their objectGUID. Names, addresses and DNs are
// attributes that change and are re-used.
//
// Floor 3: internal/daemon wires it; archive and archive/people lie below it,
// and nothing else in the tree imports go-ldap. The protocol is RFC 4511 to
// 4515 and RFC 2696 (paging) with Active Directory's ways as MS-ADTS specifies
// them; the entries are specified in archive/FORMAT.md.
//
// No domain controller can hold anything up but its own answer: no lock is held
// while one is asked, every request has a time limit, and nothing is appended
// before a snapshot is complete. No error, log line or metric carries a name,
// an address, a DN or a password.
package ldapsync
