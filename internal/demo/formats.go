package main

import (
	"context"
	"fmt"
	"strings"
)

// formats are those in which the demo produces beside JSON lines.
var formats = []string{"csv", "eml", "mbox", "rsmf", "dat", "html", "pdf"}

// produceFormats produces the same conversation in every other format, with text
// covered in one of them.
func (d *demo) produceFormats(ctx context.Context) error {
	query := `conversation:"` + d.set.conversations[exportedConversation] + `"`
	for _, format := range formats {
		args := []string{"export", query, "--reason", reason, "--recipient", "County court", "--purpose", "subpoena", "--legend", "CONFIDENTIAL",
			"--as", format, "--out", d.path("production-" + format)}
		if format == "eml" {
			args = append(args, "--redact", "furosemide", "--redact-reason", "not asked for")
		}
		var done struct {
			Produced int `json:"produced"`
		}
		if err := d.holdfast(ctx, &done, args...); err != nil {
			return err
		}
		d.looks["export"]++
		if done.Produced != d.exported {
			return fmt.Errorf("as %s %d entries were produced, as JSON lines %d", format, done.Produced, d.exported)
		}
	}
	return d.say("Produced the same as %s, with a legend on what people read and one drug's name covered in the mails.", strings.Join(formats, ", "))
}

// verifyFormats verifies those productions offline.
func (d *demo) verifyFormats(ctx context.Context) error {
	for _, format := range formats {
		var v struct {
			Result string `json:"result"`
		}
		if err := d.askJSON(ctx, &v, 0, "holdfast", "verify", d.path("production-"+format), "--log-key", d.path("log.key"), "--format", "json"); err != nil {
			return err
		}
		if v.Result != "verified" {
			return fmt.Errorf("the production as %s: %q", format, v.Result)
		}
	}
	return d.say("Verified the other %d formats likewise: every file is as the signed manifest has it, and what can be was rendered anew and compared.", len(formats))
}
