// Package anchor keeps the log's checkpoints outside the machine, so that even
// root on it cannot rewrite history that is older than the last anchor: in a
// file, with witnesses (C2SP tlog-witness), and with a time-stamping authority
// (RFC 3161). The relay holds one as well, in each ack (ingest/AMX.md §3.7).
//
// An anchor that does not answer is silent, which its keeper is told of by age;
// one that answers that it saw another log refuses, and that is an alarm at
// once. The package knows no log: whoever anchors hands it signed checkpoints
// and consistency proofs.
//
// internal/daemon imports it, and the commands that read an anchor file. The
// file's lines and the entry of an anchor are specified in archive/FORMAT.md.
package anchor
