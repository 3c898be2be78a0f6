// Package people keeps what the directory has said of people and groups, with
// its dates, and which person each of the relay's users is. It reads no
// directory: ldapsync does, and puts what changed into the log as entries of
// class control, one Change each. A History is what those entries add up to;
// it is rebuilt at every start and never forgets: names, addresses,
// departments and memberships stay with the time at which they held, because
// who could see what then is what courts ask.
//
// Identity is the objectGUID. Names, addresses and DNs change and are re-used
// by other people; they are attributes, compared with case folded.
//
// Two things keep a person out, and they are independent. A person who is
// missing from the directory, disabled or expired has departed; only the
// directory says so, and only it says that the person is back. A person whom an
// administrator blocked stays blocked until an administrator unblocks, whatever
// the directory says.
//
// Floors 3 and up may import it. The bodies of its entries are specified in
// archive/FORMAT.md section 6 (person, group, sync, match).
package people
