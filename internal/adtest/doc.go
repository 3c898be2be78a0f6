// Package adtest is the Active Directory that Holdfast is tried against, in
// three forms. A Fake is an in-process LDAPS server for a handful of people: it
// starts in a millisecond and answers as a domain controller does, sub-codes,
// pages, ranges and all. A DC is a real Samba domain controller with 3,000
// people, provisioned once and started from a copy. A Proxy stands in front of
// either, enforces the limits that Microsoft's servers have and Samba does not,
// and injects faults.
//
// Tests anywhere and internal/demo may import it; no part of the product does.
// It speaks LDAP (RFC 4511) by itself, on purpose not through the library that
// ldapsync uses, so that the two do not share their mistakes. What it imitates
// is specified in MS-ADTS; what is imitated was compared with the real Samba by
// TestFakeAgreesWithSamba.
package adtest
