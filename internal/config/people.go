package config

import "holdfast/internal/role"

// Account is an account of the appliance, over the Unix socket.
type Account struct {
	// UID is the account's number. Required.
	UID uint32 `toml:"uid"`
	// Roles are the account's roles (`holdfast roles`). Default: none, which
	// leaves `holdfast whoami`.
	Roles []role.Role `toml:"roles"`
	// Person is the UPN or objectGUID of the directory's person who uses the
	// account. What takes two people takes accounts with persons.
	Person string `toml:"person"`
	// BreakGlass lets the account take BreakGlassRoles for an hour by
	// `holdfast break-glass`, which raises an alarm.
	BreakGlass bool `toml:"break_glass"`
}

// Directory is the Active Directory and how it is read.
type Directory struct {
	// URLs are the domain controllers, ldaps://HOST[:PORT], or ldap://HOST[:PORT]
	// with StartTLS. There is no plain LDAP. Required.
	URLs []string `toml:"urls"`
	// CA is a PEM file with the only authorities that may certify them. Required.
	CA string `toml:"ca"`
	// Bind is the DN or UPN of the account that reads the directory. Its
	// password is the first line of the credential file `holdfast.directory`. Required.
	Bind string `toml:"bind"`
	// Base are the DNs below which people are read. Required.
	Base []string `toml:"base"`
	// GroupBase are the DNs below which groups are read. Default: Base.
	GroupBase []string `toml:"group_base"`
	// Filter narrows the people, e.g. (employeeType=staff). Default: none.
	Filter string `toml:"filter"`
	// Interval is the time between two synchronisations. Default: 5m.
	Interval Duration `toml:"interval"`
	// Timeout bounds each request to a domain controller. Default: 15s.
	Timeout Duration `toml:"timeout"`
	// MaxLossPercent and MaxLoss are the rails: a synchronisation by which more
	// people than both would depart waits for approval. Default: 5 and 20.
	MaxLossPercent int `toml:"max_loss_percent"`
	MaxLoss        int `toml:"max_loss"`
	// Roles give the members of groups their roles.
	Roles []GroupRole `toml:"role"`
}

// GroupRole gives the members of one of the directory's groups, nested ones
// included, a role.
type GroupRole struct {
	// Group is the group's objectGUID, DN or sAMAccountName. Required.
	Group string `toml:"group"`
	// Role is the role's name. Required.
	Role role.Role `toml:"role"`
	// Department or OU narrow the role to the messages of the people there.
	Department string `toml:"department"`
	OU         string `toml:"ou"`
	// Until is the day on which the role ends, at its first moment in UTC.
	Until *Date `toml:"until"`
}

// HTTPS is the API over the network: TLS 1.3 alone.
type HTTPS struct {
	// Listen is ADDRESS:PORT. Required.
	Listen string `toml:"listen"`
	// Cert and Key are the server's certificate chain and key, PEM. They are
	// read again when the files change. Required.
	Cert string `toml:"cert"`
	Key  string `toml:"key"`
	// Idle ends a session in which nothing was asked for so long. Default: 15m.
	Idle Duration `toml:"idle"`
	// Absolute ends a session whatever was asked. Default: 10h.
	Absolute Duration `toml:"absolute"`
}

// Provision says what is asked of the relay. All of it is off by default.
type Provision struct {
	// Disable asks the relay to disable the relay user of a person who departed.
	Disable bool `toml:"disable"`
	// Revoke asks it to revoke the person's devices.
	Revoke bool `toml:"revoke"`
	// Wipe asks it to wipe them.
	Wipe bool `toml:"wipe"`
}

// On reports whether anything at all is asked of the relay.
func (p Provision) On() bool { return p.Disable || p.Revoke || p.Wipe }

// Watch says what is usual at the site.
type Watch struct {
	// Zone is in which zone they work, e.g. America/New_York. Default: the site's.
	Zone string `toml:"zone"`
	// From and To are the working hours, HH:MM. Default: 07:00 and 19:00.
	From string `toml:"from"`
	To   string `toml:"to"`
	// Days are the working days, by their English names. Default: Monday to Friday.
	Days []string `toml:"days"`
	// Volume is how many entries one principal may be shown in a day before it
	// is flagged. Default: 1000.
	Volume int64 `toml:"volume"`
	// LargeExport is the number of entries above which an export takes two
	// people. Default: 10000, and no limit without a directory.
	LargeExport int64 `toml:"large_export"`
}
