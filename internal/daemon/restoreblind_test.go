package daemon

import (
	"os"
	"testing"

	"holdfast/internal/api"
)

// A restored log of which nobody outside can say whether it is whole waits for
// two people: taking away the file of anchors, and the relay, is no way around
// them.
func TestRestoredBlindWaits(t *testing.T) {
	d := newDisaster(t)
	d.start()
	d.load(lines(5))
	d.acked()
	d.stop()
	d.backup()
	relay := d.config.Relay
	d.config.Relay = nil
	d.restored(nil)
	d.start()
	d.until("waiting", func(r *api.RestoreResponse) bool { return r.State == api.RestoreWaiting })
	d.stop()
	// What the relay says is enough where no anchor was ever made.
	d.config.Relay = relay
	d.start()
	d.until("going on", func(r *api.RestoreResponse) bool { return r.State == api.RestoreSettled })
}

// A file of anchors that is gone, though the log says that it was anchored
// there, is an alarm; and a restored log does not go on by itself then.
func TestMissingAnchorsAreMissed(t *testing.T) {
	d := newDisaster(t)
	d.config.Anchor.File = d.path("anchors")
	d.start()
	d.load(lines(5))
	d.acked()
	if _, err := d.client.AnchorsMake(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.stop()
	d.backup()
	d.must(os.Remove(d.path("anchors")))
	d.start()
	if !d.alarmed(AlarmAnchorUnread) {
		t.Error("nobody missed the anchors")
	}
	d.stop()
	d.restored(nil)
	d.must(os.RemoveAll(d.path("anchors")))
	d.start()
	d.until("waiting", func(r *api.RestoreResponse) bool { return r.State == api.RestoreWaiting })
}
