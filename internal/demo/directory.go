package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"holdfast/internal/adtest"
)

// The people of the demo's compliance desk, who send no messages.
const (
	officer       = "ruth.adler"
	administrator = "ivo.marek"
	officers      = "Holdfast Compliance"
	admins        = "Holdfast Administrators"
)

// openDirectory starts the directory and puts the set's people into it.
func (d *demo) openDirectory(ctx context.Context) error {
	folder := d.path("directory")
	if err := os.Mkdir(folder, 0o700); err != nil {
		return err
	}
	what, err := d.startDirectory(ctx, folder)
	if err != nil {
		return err
	}
	for _, p := range d.set.users {
		if _, err := d.directory.AddPerson(adtest.Person{Account: p.User, Name: p.Name, Mail: p.Mail, Department: "Ward 4"}); err != nil {
			return err
		}
	}
	for account, name := range map[string]string{officer: "Ruth Adler", administrator: "Ivo Marek"} {
		if _, err := d.directory.AddPerson(adtest.Person{Account: account, Name: name, Department: "Office"}); err != nil {
			return err
		}
	}
	if _, err := d.directory.AddGroup(officers, officer); err != nil {
		return err
	}
	if _, err := d.directory.AddGroup(admins, administrator); err != nil {
		return err
	}
	if d.apiCert, d.apiKey, err = d.directory.Authority().Issue(folder, "archive", "127.0.0.1"); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(d.path("credentials"), "holdfast.directory"), []byte(adtest.BindPassword+"\n"), 0o600); err != nil {
		return err
	}
	return d.say("Started %s, which speaks LDAPS, and put the %d people of the ward and two of the compliance office into it.", what, len(d.set.users))
}

// startDirectory starts the directory that was asked for, and says what it is.
func (d *demo) startDirectory(ctx context.Context, folder string) (what string, err error) {
	switch d.kind {
	case kindFake:
		ad, err := adtest.NewFake(folder)
		if err != nil {
			return "", err
		}
		d.directory, d.stopDirectory = ad, ad.Close
		return "a small directory server of the demo's own", nil
	case kindSamba:
		dc, err := adtest.StartSamba(ctx)
		if err != nil {
			return "", err
		}
		d.directory, d.stopDirectory = dc, dc.Stop
		return fmt.Sprintf("a real Active Directory domain controller (Samba) with %d people", adtest.SeedPeople), nil
	}
	return "", errors.New("-directory is fake or samba")
}

// The kinds of directories.
const (
	kindFake  = "fake"
	kindSamba = "samba"
)

// directoryConfig is the part of the configuration that has to do with people.
// Whoever runs the demo stands for the appliance's own account.
func (d *demo) directoryConfig() string {
	var b strings.Builder
	fmt.Fprintf(&b, "[[account]]\nuid = %d\nroles = [\"administrator\", \"compliance-officer\", \"auditor\"]\n\n", os.Getuid())
	fmt.Fprintf(&b, "[directory]\nurls = [%q]\nca = %q\nbind = %q\nbase = [%q]\ngroup_base = [%q]\n\n",
		d.directory.URL(), d.directory.CAFile(), adtest.BindDN, adtest.StaffDN, adtest.GroupsDN)
	for _, r := range [][2]string{{officers, "compliance-officer"}, {admins, "administrator"}} {
		fmt.Fprintf(&b, "[[directory.role]]\ngroup = %q\nrole = %q\n\n", r[0], r[1])
	}
	fmt.Fprintf(&b, "[https]\nlisten = \"127.0.0.1:0\"\ncert = %q\nkey = %q\n\n", d.apiCert, d.apiKey)
	return b.String()
}
