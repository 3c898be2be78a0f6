// Package page renders a production's units as pages that a person reads: HTML
// files that need nothing but themselves, and PDF with all that it draws
// embedded. Both tell the same story in the same order.
//
// It is pure: the same units and options give the same bytes. archive/export
// imports it, to produce and to verify. What stands on a page, and what cannot
// be drawn there, is specified in archive/render/page/FORMAT.md.
package page
