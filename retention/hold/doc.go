// Package hold decides whether a legal hold covers an entry. A Scope is what a
// hold says, as its entry in the log has it; a Matcher is a scope made ready
// for asking, and Covers asks it of the facts about one entry. Nothing here
// reads the log, keeps state or looks at a clock.
//
// What is not known is held: every doubt about an entry, or about what a scope
// means, is decided in favour of keeping.
//
//   - A message is in the range when it was sent or received in it. Inside the
//     range it is covered when every kind of the scope that is given takes it:
//     people (custodians and groups together), conversations, query.
//   - What was quarantined, or cannot be read, is covered when it was received
//     at or after the range's beginning, whatever else the scope says: it may
//     have been sent long before.
//   - An attachment without extractable text makes the words of a query that
//     are not found "maybe", and maybe is covered (archive/query/QUERY.md).
//   - A query is read in the version of the language in which it was written
//     and in the newest, and covers what either reading finds. When its version
//     is gone, or it asks for what no hold can know, such as another hold, it
//     covers everything that the scope's other kinds take.
//   - What somebody did to look at messages is covered when it names the hold's
//     matter or one of its custodians, at whatever time.
//   - A redelivery has no content; only a scope of everything covers it itself.
//   - What the archive says about itself (class control) needs no hold: it is
//     never disposed of.
//
// The family of a covered entry, such as a message's edits and receipts, is
// package retention's to find.
//
// Any package above floor 1 may import it. A scope's JSON is specified in
// archive/FORMAT.md section 6 (hold).
package hold
