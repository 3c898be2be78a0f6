package adtest

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"
)

// Directory is what a Fake and a DC can both be made to do; Fake's methods say
// what each of them means.
type Directory interface {
	URL() string
	StartTLSURL() string
	CAFile() string
	Authority() *Authority
	AddPerson(p Person) (guid string, err error)
	AddGroup(account string, members ...string) (guid string, err error)
	AddComputer(account, ou string) error
	SetMembers(group string, members ...string) error
	AddMember(group, member string) error
	RemoveMember(group, member string) error
	Set(account, name string, values ...string) error
	Disable(account string) error
	Enable(account string) error
	Rename(account, name string) error
	Move(account, ou string) error
	Delete(account string) error
	SetPassword(account, password string) error
	Lock(account string) error
	Unlock(account string) error
	Expire(account string, at time.Time) error
	MustChange(account string) error
	DenyHours(account string) error
	DenyWorkstation(account string) error
	SetPrimaryGroup(account, group string) error
	GUID(account string) string
	Locked(account string) bool
}

var _, _ Directory = (*Fake)(nil), (*DC)(nil)

// lookup finds an account's entry.
func (dc *DC) lookup(account string) (found, error) {
	entries, err := dc.admin.search(BaseDN, 2, "sAMAccountName", account, "objectGUID", "objectSid", "userAccountControl", "lockoutTime", "badPwdCount", "member")
	if err != nil {
		return found{}, err
	}
	if len(entries) != 1 {
		return found{}, fmt.Errorf("%s: %w", account, errAbsent)
	}
	return entries[0], nil
}

// on runs a change of one account's entry.
func (dc *DC) on(account string, do func(e found) error) error {
	e, err := dc.lookup(account)
	if err != nil {
		return err
	}
	if err := do(e); err != nil {
		return fmt.Errorf("change %s: %w", account, err)
	}
	return nil
}

// AddPerson adds a person; the OU is made where it is missing.
func (dc *DC) AddPerson(p Person) (guid string, err error) {
	o := (*Fake)(nil).newPerson(p, 0)
	if err := dc.need(parentOf(o.dn)); err != nil {
		return "", err
	}
	var list []attribute
	for _, a := range o.attributes {
		if key := strings.ToLower(a.name); key != "samaccounttype" && key != "objectcategory" && key != "primarygroupid" {
			list = append(list, a)
		}
	}
	list = append(list, attribute{"unicodePwd", []string{quoted(o.password)}})
	if err := dc.admin.add(o.dn, list...); err != nil {
		return "", fmt.Errorf("add %s: %w", p.Account, err)
	}
	return dc.GUID(p.Account), nil
}

// need adds an organisational unit if there is none.
func (dc *DC) need(dn string) error {
	err := dc.admin.add(dn, attribute{"objectClass", []string{"organizationalUnit"}})
	var refused *resultError
	if errors.As(err, &refused) && refused.code == codeExists {
		return nil
	}
	return err
}

// AddGroup adds a group with members.
func (dc *DC) AddGroup(account string, members ...string) (guid string, err error) {
	list, err := dc.names(members)
	if err != nil {
		return "", err
	}
	err = dc.admin.add("CN="+escape(account)+","+GroupsDN, attribute{"objectClass", []string{"group"}},
		attribute{"sAMAccountName", []string{account}}, attribute{"member", list})
	if err != nil {
		return "", fmt.Errorf("add %s: %w", account, err)
	}
	return dc.GUID(account), nil
}

// AddComputer adds a computer's account.
func (dc *DC) AddComputer(account, ou string) error {
	if err := dc.need(ouDN(ou)); err != nil {
		return err
	}
	return dc.admin.add("CN="+escape(account)+","+ouDN(ou), attribute{"objectClass", []string{"computer"}},
		attribute{"sAMAccountName", []string{account + "$"}}, attribute{"userAccountControl", []string{strconv.Itoa(uacMachine)}})
}

func (dc *DC) names(accounts []string) ([]string, error) {
	var out []string
	for _, a := range accounts {
		e, err := dc.lookup(a)
		if err != nil {
			return nil, err
		}
		out = append(out, e.dn)
	}
	return out, nil
}

// SetMembers makes these accounts a group's only members.
func (dc *DC) SetMembers(group string, members ...string) error {
	list, err := dc.names(members)
	if err != nil {
		return err
	}
	return dc.on(group, func(e found) error { return dc.admin.modify(e.dn, modReplace, "member", list...) })
}

// AddMember adds an account to a group.
func (dc *DC) AddMember(group, member string) error { return dc.member(modAdd, group, member) }

// RemoveMember takes an account out of a group.
func (dc *DC) RemoveMember(group, member string) error { return dc.member(modDelete, group, member) }

func (dc *DC) member(kind int64, group, member string) error {
	m, err := dc.lookup(member)
	if err != nil {
		return err
	}
	return dc.on(group, func(e found) error { return dc.admin.modify(e.dn, kind, "member", m.dn) })
}

// Set replaces an attribute's values.
func (dc *DC) Set(account, name string, values ...string) error {
	return dc.on(account, func(e found) error { return dc.admin.modify(e.dn, modReplace, name, values...) })
}

// Disable sets the account's bit 2, Enable clears it.
func (dc *DC) Disable(account string) error { return dc.flag(account, true) }

// Enable is described at Disable.
func (dc *DC) Enable(account string) error { return dc.flag(account, false) }

func (dc *DC) flag(account string, on bool) error {
	return dc.on(account, func(e found) error {
		flags, err := strconv.Atoi(e.first("userAccountControl"))
		if err != nil {
			return err
		}
		flags &^= uacDisabled
		if on {
			flags |= uacDisabled
		}
		return dc.admin.modify(e.dn, modReplace, "userAccountControl", strconv.Itoa(flags))
	})
}

// Rename gives a person or group another name.
func (dc *DC) Rename(account, name string) error {
	return dc.on(account, func(e found) error {
		if e.first("userAccountControl") != "" {
			if err := dc.admin.modify(e.dn, modReplace, "displayName", name); err != nil {
				return err
			}
		}
		return dc.admin.rename(e.dn, "CN="+escape(name), parentOf(e.dn))
	})
}

// Move puts an entry into another OU.
func (dc *DC) Move(account, ou string) error {
	if err := dc.need(ouDN(ou)); err != nil {
		return err
	}
	return dc.on(account, func(e found) error { return dc.admin.rename(e.dn, splitDN(e.dn)[0], ouDN(ou)) })
}

// RenameOU gives an organisational unit, a name below StaffDN or a whole DN,
// another name, which changes the DNs of all in it.
func (dc *DC) RenameOU(ou, name string) error {
	return dc.admin.rename(ouDN(ou), "OU="+escape(name), parentOf(ouDN(ou)))
}

// Delete removes an entry. Its names are free.
func (dc *DC) Delete(account string) error {
	return dc.on(account, func(e found) error { return dc.admin.delete(e.dn) })
}

// SetPassword gives a password, as an administrator does.
func (dc *DC) SetPassword(account, password string) error {
	return dc.on(account, func(e found) error { return dc.admin.modify(e.dn, modReplace, "unicodePwd", quoted(password)) })
}

// Lock locks an account by wrong passwords.
func (dc *DC) Lock(account string) error {
	return dc.on(account, func(e found) error {
		c, err := dial(dc.Address(), dc.authority.client())
		if err != nil {
			return err
		}
		for range lockAfter {
			var refused *resultError
			if err := c.bind(e.dn, "not-the-passw0rd"); !errors.As(err, &refused) || refused.code != codeCredentials {
				return errors.Join(fmt.Errorf("a wrong password is not refused: %w", err), c.close())
			}
		}
		return c.close()
	})
}

// Unlock ends a lock.
func (dc *DC) Unlock(account string) error { return dc.Set(account, "lockoutTime", "0") }

// Expire lets the account end at a moment; the zero time means never.
func (dc *DC) Expire(account string, at time.Time) error {
	value := never
	if !at.IsZero() {
		value = fileTime(at)
	}
	return dc.Set(account, "accountExpires", value)
}

// MustChange asks for another password at the next login: 773.
func (dc *DC) MustChange(account string) error { return dc.Set(account, "pwdLastSet", "0") }

// DenyHours allows no login at any hour: 530.
func (dc *DC) DenyHours(account string) error {
	return dc.Set(account, "logonHours", string(make([]byte, 21)))
}

// DenyWorkstation allows logins at other machines only: 531.
func (dc *DC) DenyWorkstation(account string) error {
	return dc.Set(account, "userWorkstations", "SOMEWHERE-ELSE")
}

// SetPrimaryGroup makes a group the person's primary one, of which AD wants
// them to be a member before.
func (dc *DC) SetPrimaryGroup(account, group string) error {
	g, err := dc.lookup(group)
	if err != nil {
		return err
	}
	sid := g.first("objectSid")
	if len(sid) < 12 {
		return errPacket
	}
	rid := uint64(sid[len(sid)-4]) | uint64(sid[len(sid)-3])<<8 | uint64(sid[len(sid)-2])<<16 | uint64(sid[len(sid)-1])<<24
	return dc.on(account, func(e found) error {
		err := dc.admin.modify(g.dn, modAdd, "member", e.dn)
		var refused *resultError
		if err != nil && (!errors.As(err, &refused) || refused.code != codeExists) {
			return err
		}
		return dc.admin.modify(e.dn, modReplace, "primaryGroupID", strconv.FormatUint(rid, 10))
	})
}

// GUID is the objectGUID's text of an account, or nothing.
func (dc *DC) GUID(account string) string {
	e, err := dc.lookup(account)
	if err != nil {
		return ""
	}
	raw := e.first("objectGUID")
	if guid, err := guidText(raw); err == nil {
		return guid
	}
	return hex.EncodeToString([]byte(raw))
}

// Locked says whether wrong passwords have locked the account.
func (dc *DC) Locked(account string) bool {
	e, err := dc.lookup(account)
	return err == nil && e.first("lockoutTime") != "" && e.first("lockoutTime") != "0"
}

// WrongPasswords is the account's count of wrong passwords (badPwdCount).
func (dc *DC) WrongPasswords(account string) (int, error) {
	e, err := dc.lookup(account)
	if err != nil {
		return 0, err
	}
	if e.first("badPwdCount") == "" {
		return 0, nil
	}
	return strconv.Atoi(e.first("badPwdCount"))
}

// quoted is a password as unicodePwd wants it.
func quoted(password string) string {
	var b []byte
	for _, u := range utf16.Encode([]rune(`"` + password + `"`)) {
		b = append(b, byte(u), byte(u>>8))
	}
	return string(b)
}
