package adtest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// AddPerson adds a person and returns their objectGUID's text.
func (f *Fake) AddPerson(p Person) (guid string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rid++
	o := f.newPerson(p, f.rid)
	return formatGUID(o.guid), f.insert(o)
}

// AddGroup adds a group below GroupsDN with members given by their accounts,
// people and groups alike, and returns its objectGUID's text.
func (f *Fake) AddGroup(account string, members ...string) (guid string, err error) {
	f.mu.Lock()
	f.rid++
	o := f.newGroup("CN="+escape(account)+","+GroupsDN, account, f.rid)
	err = f.insert(o)
	f.mu.Unlock()
	if err != nil {
		return "", err
	}
	return formatGUID(o.guid), f.SetMembers(account, members...)
}

// AddComputer adds a computer's account beside the people of an OU: it has the
// object class of a person.
func (f *Fake) AddComputer(account, ou string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rid++
	o := f.newPerson(Person{Account: account + "$", Name: account, OU: ou}, f.rid)
	o.set("objectClass", "top", "person", "organizationalPerson", "user", "computer")
	o.set("objectCategory", "CN=Computer,CN=Schema,CN=Configuration,"+BaseDN)
	o.set("sAMAccountType", "805306369")
	o.set("userPrincipalName")
	o.set("userAccountControl", strconv.Itoa(uacMachine))
	return f.insert(o)
}

// SetMembers makes these accounts the only members of a group.
func (f *Fake) SetMembers(group string, members ...string) error {
	return f.change(group, func(g *object) error {
		var list []*object
		for _, m := range members {
			o := f.account(m)
			if o == nil {
				return fmt.Errorf("%s: %w", m, errAbsent)
			}
			list = append(list, o)
		}
		g.members = list
		return nil
	})
}

// AddMember adds an account to a group.
func (f *Fake) AddMember(group, member string) error {
	return f.change(group, func(g *object) error {
		o := f.account(member)
		if o == nil {
			return fmt.Errorf("%s: %w", member, errAbsent)
		}
		if !slices.Contains(g.members, o) {
			g.members = append(g.members, o)
		}
		return nil
	})
}

// RemoveMember takes an account out of a group.
func (f *Fake) RemoveMember(group, member string) error {
	return f.change(group, func(g *object) error {
		o := f.account(member)
		g.members = slices.DeleteFunc(g.members, func(m *object) bool { return m == o })
		return nil
	})
}

// Set replaces an attribute's values; none removes it.
func (f *Fake) Set(account, name string, values ...string) error {
	return f.change(account, func(o *object) error {
		o.set(name, values...)
		return nil
	})
}

// Disable sets the account's bit 2, Enable clears it.
func (f *Fake) Disable(account string) error { return f.flag(account, uacDisabled, true) }

// Enable is described at Disable.
func (f *Fake) Enable(account string) error { return f.flag(account, uacDisabled, false) }

func (f *Fake) flag(account string, bit int, on bool) error {
	return f.change(account, func(o *object) error {
		flags := o.flags() &^ bit
		if on {
			flags |= bit
		}
		o.set("userAccountControl", strconv.Itoa(flags))
		return nil
	})
}

// Rename gives a person (or group) another name: the entry's, and its display
// name.
func (f *Fake) Rename(account, name string) error {
	return f.change(account, func(o *object) error {
		if o.is("user") {
			o.set("displayName", name)
		}
		o.place("CN=" + escape(name) + "," + parentOf(o.dn))
		return nil
	})
}

// Move puts an entry into another OU: a name below StaffDN, or a whole DN.
func (f *Fake) Move(account, ou string) error {
	return f.change(account, func(o *object) error {
		o.place(splitDN(o.dn)[0] + "," + ouDN(ou))
		return nil
	})
}

// Delete removes an entry, and with it its memberships. Its names are free.
func (f *Fake) Delete(account string) error {
	return f.change(account, func(o *object) error {
		f.objects = slices.DeleteFunc(f.objects, func(p *object) bool { return p == o })
		for _, g := range f.objects {
			g.members = slices.DeleteFunc(g.members, func(m *object) bool { return m == o })
		}
		return nil
	})
}

// SetPassword gives a password, which also ends a lock and what ExpirePassword
// and MustChange did.
func (f *Fake) SetPassword(account, password string) error {
	return f.change(account, func(o *object) error {
		o.password, o.bad, o.locked = password, 0, false
		if o.denied == subExpiredPassword || o.denied == subMustChange {
			o.denied = ""
		}
		return nil
	})
}

// Lock locks an account as too many wrong passwords do.
func (f *Fake) Lock(account string) error {
	return f.change(account, func(o *object) error {
		o.bad, o.locked = lockAfter, true
		return nil
	})
}

// Unlock ends a lock.
func (f *Fake) Unlock(account string) error {
	return f.change(account, func(o *object) error {
		o.bad, o.locked = 0, false
		return nil
	})
}

// Expire lets the account end at a moment. The zero time means never.
func (f *Fake) Expire(account string, at time.Time) error {
	value := never
	if !at.IsZero() {
		value = fileTime(at)
	}
	return f.Set(account, "accountExpires", value)
}

// The sub-codes of a refused bind, as hexadecimal numbers of Windows' errors.
const (
	subUnknown         = "525"
	subWrong           = "52e"
	subHours           = "530"
	subWorkstation     = "531"
	subExpiredPassword = "532"
	subDisabled        = "533"
	subExpired         = "701"
	subMustChange      = "773"
	subLocked          = "775"
)

// ExpirePassword makes the password too old: logins end with 532.
func (f *Fake) ExpirePassword(account string) error { return f.deny(account, subExpiredPassword) }

// MustChange asks for another password at the next login: 773.
func (f *Fake) MustChange(account string) error { return f.deny(account, subMustChange) }

// DenyHours allows no login at any hour: 530.
func (f *Fake) DenyHours(account string) error { return f.deny(account, subHours) }

// DenyWorkstation allows logins at other machines only: 531.
func (f *Fake) DenyWorkstation(account string) error { return f.deny(account, subWorkstation) }

func (f *Fake) deny(account, code string) error {
	return f.change(account, func(o *object) error {
		o.denied = code
		return nil
	})
}

// SetPrimaryGroup makes a group the person's primary one, which is not in the
// group's member attribute.
func (f *Fake) SetPrimaryGroup(account, group string) error {
	return f.change(account, func(o *object) error {
		g := f.account(group)
		if g == nil {
			return fmt.Errorf("%s: %w", group, errAbsent)
		}
		o.set("primaryGroupID", strconv.FormatUint(uint64(g.rid), 10))
		g.members = slices.DeleteFunc(g.members, func(m *object) bool { return m == o })
		return nil
	})
}

// GUID is the objectGUID's text of an account, or nothing.
func (f *Fake) GUID(account string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if o := f.account(account); o != nil {
		return formatGUID(o.guid)
	}
	return ""
}

// check judges a bind: "" lets the person in, else it is the sub-code. The
// caller holds the mutex.
func (o *object) check(password string, now time.Time) string {
	o.attempts++
	switch {
	case o.locked:
		return subLocked
	case o.password != password:
		if o.bad++; o.bad >= lockAfter {
			o.locked = true
		}
		return subWrong
	case o.flags()&uacDisabled != 0:
		return subDisabled
	case expired(o.first("accountExpires"), now):
		return subExpired
	case o.denied != "":
		return o.denied
	}
	o.bad = 0
	return ""
}

// resolve finds who a bind's name means: a DN, a UPN, DOMAIN\account, or an
// account. The caller holds the mutex.
func (f *Fake) resolve(name string) *object {
	if _, account, ok := strings.Cut(name, `\`); ok && !strings.Contains(name, "=") {
		return f.account(account)
	}
	if strings.Contains(name, "=") {
		return f.names()[keyDN+fold(name)]
	}
	if o := f.names()[keyUPN+strings.ToLower(name)]; o != nil {
		return o
	}
	account, _, _ := strings.Cut(name, "@")
	return f.account(account)
}
