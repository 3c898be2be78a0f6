// Package ingest is the archive's end of AMX/1: it pulls the relay's events, verifies each page whole, opens and verifies the envelopes on
// all cores, appends them to the log in the relay's order, and acknowledges what is durable, never before.
//
// The protocol is specified in ingest/AMX.md, sections 3 to 5, and 8 for provisioning. Floor 3: internal/daemon wires it; it imports archive below it and the two
// halves of the protocol, ingest/wire and ingest/envelope. Its neighbours reach it through the interfaces of options.go.
//
// The way of a page is a pipeline of three stages, so that while page k is committed page k+1 is opened and page k+2 fetched:
//
//	fetch    asks from the last verified seq and head; a bad page is discarded whole and asked for again (fetch.go, faults.go)
//	open     judges the directory's events in order, then opens and verifies the envelopes in parallel, each as of its place, and
//	         waits a bounded time for attachments (open.go, blobs.go)
//	commit   one Append per page, strictly in order, with the cursor (commit.go)
//
// Beside them run the acker, the keyset's publisher, the fetcher of pending attachments and the watch over the lag. Whatever goes wrong
// with the log ends the pipeline; it starts again from the stored cursor, with the directory as committed, so that nothing depends on what
// a failed write did or did not leave. People's approvals of devices are taken in between two pages (approvals.go): the directory that judges is
// ahead of the log, and hears of them from the log like everybody else.
//
// Apart from the Client stands the Provisioner, which has the relay act on the accounts and devices of people who departed: PlanProvision
// decides, over the policy, the holds and the Tails of the devices' streams; the ProvisionBook keeps what was wanted and answered.
package ingest
