package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/pquerna/otp/totp"

	"holdfast/internal/adtest"
)

// matchPeople waits until each of the relay's users is known to be one of the
// directory's people.
func (d *demo) matchPeople(ctx context.Context) error {
	var s struct {
		People    int     `json:"people"`
		Groups    int     `json:"groups"`
		Matched   int     `json:"matched"`
		Unmatched int     `json:"unmatched"`
		Took      float64 `json:"took_seconds"`
	}
	all := func(ctx context.Context) (bool, error) {
		err := d.holdfast(ctx, &s, "directory", "status")
		return err == nil && s.Matched == len(d.set.users), err
	}
	if err := await(ctx, startWithin, "the relay's users to be matched", all, d.daemon); err != nil {
		return fmt.Errorf("%w (%d of %d matched)", err, s.Matched, len(d.set.users))
	}
	return d.say("Read %d people and %d groups from the directory in %.2f s; all %d users of the relay are people of it, by their mail addresses, and none was guessed.",
		s.People, s.Groups, s.Took, s.Matched)
}

var serving = regexp.MustCompile(`serving over HTTPS" address=(\S+)`)

// deskOf runs a command as somebody at a compliance desk, with a home folder of
// their own, and wants the given exit code.
func (d *demo) deskOf(ctx context.Context, who string, code int, stdin string, args ...string) ([]byte, error) {
	home := d.path("desk-" + who)
	if err := os.MkdirAll(home, 0o700); err != nil {
		return nil, err
	}
	c := d.command(ctx, "holdfast", append([]string{"--format", "json"}, args...)...)
	c.Env = append(slices.DeleteFunc(c.Env, func(v string) bool { return strings.HasPrefix(v, "HOME=") }), "HOME="+home)
	c.Stdin = strings.NewReader(stdin)
	return finish(c, code)
}

// enter enrols a second factor for somebody and logs in with it over HTTPS.
func (d *demo) enter(ctx context.Context, who string) error {
	at := serving.FindStringSubmatch(d.daemon.logged())
	if at == nil {
		return errors.New("the daemon did not say where it serves over HTTPS")
	}
	var issued struct {
		Ticket string `json:"ticket"`
	}
	if err := d.holdfast(ctx, &issued, "factor", "issue", who, "--reason", reason); err != nil {
		return err
	}
	// A ticket and no code yet: the enrolment is printed before the code is asked for, so that the code comes with a second login.
	out, err := d.deskOf(ctx, who, exitUsage, adtest.Password+"\n"+issued.Ticket+"\n",
		"login", "--server", "https://"+at[1], "--ca", d.directory.CAFile(), "--name", who, "--ticket", "--stdin")
	if err != nil {
		return err
	}
	var factor struct {
		Secret string `json:"secret"`
	}
	if err := json.Unmarshal(out, &factor); err != nil {
		return fmt.Errorf("a ticket did not give a second factor: %w", err)
	}
	code, err := totp.GenerateCode(factor.Secret, time.Now())
	if err != nil {
		return err
	}
	_, err = d.deskOf(ctx, who, 0, adtest.Password+"\n"+code+"\n",
		"login", "--server", "https://"+at[1], "--ca", d.directory.CAFile(), "--name", who, "--stdin")
	return err
}

// Exit codes of holdfast.
const (
	exitUsage      = 64
	exitPermission = 77
)

func (d *demo) logIn(ctx context.Context) error {
	for _, who := range []string{officer, administrator} {
		if err := d.enter(ctx, who); err != nil {
			return fmt.Errorf("%s: %w", who, err)
		}
	}
	var me struct {
		Name  string `json:"name"`
		Via   string `json:"via"`
		Roles []struct {
			Role string `json:"role"`
		} `json:"roles"`
	}
	out, err := d.deskOf(ctx, officer, 0, "", "whoami")
	if err != nil {
		return err
	}
	if err := json.Unmarshal(out, &me); err != nil {
		return err
	}
	if me.Via != "https" || len(me.Roles) != 1 || me.Roles[0].Role != "compliance-officer" {
		return fmt.Errorf("the officer who logged in is %+v", me)
	}
	token, err := os.Stat(filepath.Join(d.path("desk-"+officer), ".local/state/holdfast/login.json"))
	if err != nil {
		return err
	}
	return d.say("Logged in over HTTPS with directory password and second factor: %s, whose group makes her compliance officer, and an administrator. Her token lies in a file of mode %o.",
		me.Name, token.Mode().Perm())
}

// rename gives a person of the ward another name in the directory; what they
// sent before is found by it.
func (d *demo) rename(ctx context.Context) error {
	who := d.set.users[0]
	married := "Adeyemi-" + who.Name[strings.LastIndexByte(who.Name, ' ')+1:]
	before, err := d.find(ctx, "from:"+who.User, d.set.from(who.User))
	if err != nil {
		return err
	}
	if err := d.directory.Rename(who.User, married); err != nil {
		return err
	}
	if err := d.holdfast(ctx, &struct{}{}, "directory", "sync"); err != nil {
		return err
	}
	out, err := d.deskOf(ctx, officer, 0, "", "search", `from:"`+married+`"`, "--reason", reason)
	if err != nil {
		return err
	}
	var h hits
	if err := json.Unmarshal(out, &h); err != nil {
		return err
	}
	if h.Total != before.Total {
		return fmt.Errorf("under the new name %d messages are found, under the old one %d", h.Total, before.Total)
	}
	return d.say("%s is now called %s in the directory. The officer finds all %d messages by the new name, though they were sent under the old one.", who.Name, married, h.Total)
}

// refuse has the administrator, who runs the machine, try to read a message.
func (d *demo) refuse(ctx context.Context) error {
	if _, err := d.deskOf(ctx, administrator, 0, "", "status"); err != nil {
		return err
	}
	if out, err := d.deskOf(ctx, administrator, exitPermission, "", "show", "10", "--reason", "curious"); err != nil || len(out) != 0 {
		return fmt.Errorf("the administrator's view was not refused: %w\n%s", err, out)
	}
	var list struct {
		Accesses []struct {
			Access struct {
				Action    string `json:"action"`
				Target    string `json:"target"`
				Principal struct {
					Person string `json:"person"`
				} `json:"principal"`
			} `json:"access"`
		} `json:"accesses"`
	}
	if err := d.holdfast(ctx, &list, "audit", "--action", "refused"); err != nil {
		return err
	}
	if len(list.Accesses) != 1 || list.Accesses[0].Access.Principal.Person != d.directory.GUID(administrator) {
		return fmt.Errorf("the refusal is not in the audit: %+v", list)
	}
	return d.say("The administrator may see how the archive stands, but was refused a message (exit code %d); the refusal is in the log with his name.", exitPermission)
}

// leave disables the officer in the directory.
func (d *demo) leave(ctx context.Context) error {
	if err := d.directory.AddMember(officers, administrator); err != nil { // or the role would be nobody's, which waits for approval
		return err
	}
	if err := d.directory.Disable(officer); err != nil {
		return err
	}
	if err := d.holdfast(ctx, &struct{}{}, "directory", "sync"); err != nil {
		return err
	}
	if _, err := d.deskOf(ctx, officer, exitPermission, "", "search", "potassium", "--reason", reason); err != nil {
		return fmt.Errorf("the officer who left was not shut out: %w", err)
	}
	return d.say("The officer leaves the hospital: disabled in the directory, her session has ended with the next synchronisation.")
}
