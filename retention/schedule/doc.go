// Package schedule is what a retention schedule says: which record class an
// entry gets when it is appended, and when an entry of a class is due to go.
// It reads the site's TOML file and refuses what is wrong with it, every fault
// with its line; it answers whether a message is taken by a rule, when an entry
// is due, and whether a new schedule could let anything go earlier than the one
// before. All of it is pure: no clock, no log, no files. That a hold beats every
// schedule is retention's business; here nothing is known of holds.
//
// Retention, ingest and the API may import it; it imports nothing of this tree.
// The file's format is specified in retention/SCHEDULE.md. Its keys:
//
//	version       1
//	name          what the site calls this schedule (optional)
//	otherwise     class of what no rule takes
//
//	[[class]]
//	name          [a-z0-9-], at most 32 bytes; "general" must be there, "audit" may, "control" may not
//	text          what the class is for (optional)
//	period        "7y", "18m", "90d", "1y6m", "forever"
//	trigger       "received", "closed", "departed", "majority"
//	adult         age of majority in years, 18 unless stated; only with the trigger "majority"
//	unused        true when no rule leads to the class and that is meant
//
//	[[rule]]
//	name          [A-Za-z0-9._-], at most 64 bytes
//	class         the class that it assigns
//	type          of the message: "msg", "member", "close", "expiry", "call", "checkpoint"
//	conversation  its kind: "direct", "group", "patient"
//	sender        groups, one of which the sender is in
//	recipient     groups, one of which a recipient is in
//	label         labels, one of which the message carries
//	over          rules that this one goes before where both take a message
package schedule
