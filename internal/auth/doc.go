// Package auth says who somebody is and which roles they hold: people by the
// directory's password and a second factor, over HTTPS, and accounts of the
// appliance over its socket. What a role may do stands in internal/role.
//
// internal/daemon wires it, internal/api asks it through an interface of its
// own. The bodies of credential entries are specified in archive/FORMAT.md
// section 6. Nothing secret of it is on disk in the clear: TOTP secrets lie in
// sealed entries, recovery codes and tickets as digests, session tokens as
// digests in memory alone.
//
// # Login
//
// A person shows name, password and a code, in one request. The code is checked
// first: without the second factor nobody makes a single bind, so that
// nobody can lock a person out of the directory by logging in here. With it, at
// most three wrong passwords in a row reach the directory until an hour has
// passed or a right one came; accounts are usually locked after five or ten.
//
// Every failure is ErrLogin, told at a whole second after the request. The cause
// stands in the audit's entry, where Active Directory's sub-codes and those of
// this package are side by side. An unknown name is not kept: people type
// passwords into the wrong field. When the directory, the state or the log
// cannot be reached, nobody is let in.
//
// # Guessing
//
// A code is six digits, and those of three steps of 30 seconds are good, so
// that a guess is right with a probability of 3 in a million. Strangers, which
// is all addresses that the person has not logged in from since the daemon
// started, have 20 guesses a day for one person together, and 5 in 15 minutes
// from one address: 0.006 % a day, about 2 % in a year of guessing every day,
// each day of which raises an alarm; and then the password is still to be had.
// An answer does not tell a right code with a wrong password from a wrong code.
// An address that the person has logged in from has an allowance of its own, 5
// in 15 minutes and 50 a day (0.015 %).
//
// None of this keeps the person out. Two consecutive codes typed as one (12
// digits, right with a probability of 3 in 10^12) and recovery codes (80 bits)
// are looked at however many guesses there were: at a thousand guesses a second
// two consecutive codes hold with 99.97 % a day. Tickets have 128 bits.
//
// A time step that was used, or an earlier one, is never good again for that
// person; the entry of the login keeps the step over a restart.
//
// # Enrolment
//
// An administrator issues a ticket, good for a day. Logging in with the password and
// the ticket shows a new factor and its recovery codes; logging in with the
// password and a code of it within ten minutes puts it in force. The factor
// lies in memory until then, so that a crash in between leaves the ticket as
// good as it was, and asking again with the ticket shows another factor.
//
// # Roles
//
// Roles come from the directory's security groups as the log has them, and are
// derived anew at every request. A group that the directory, asked at the
// login, does not confirm gives nothing until the log has followed the
// directory; one that the log does not know of yet gives nothing either.
package auth
