// Package rsmf renders conversations' days as RSMF 2.0, the short message
// format that Relativity and other review tools take in: a mail with the text
// of what was said, and one attachment, rsmf.zip, that holds it event by event
// together with the files that were attached.
//
// It is pure: the same units and options give the same bytes. archive/export
// imports it, to produce and to verify. What a file holds, member by member,
// is specified in archive/render/rsmf/FORMAT.md.
package rsmf
