package role

import "strconv"

// The ways in which a principal came.
const (
	ViaSocket     = "socket"      // the kernel says which account is at the other end
	ViaHTTPS      = "https"       // directory login and second factor
	ViaBreakGlass = "break-glass" // an account of the appliance in an emergency
	ViaDaemon     = "daemon"      // the daemon itself, by its configuration
)

// Principal is the person on whose account something is asked for. It stands
// in the log with everything that the person does.
type Principal struct {
	UID     *uint32 `json:"uid,omitempty"`     // account of the appliance, when over the socket
	Name    string  `json:"name"`              // as the directory, or the machine's user database, knew it then
	Person  string  `json:"person,omitempty"`  // objectGUID of the person in the directory, where that is known
	Via     string  `json:"via,omitempty"`     // ViaSocket if empty: entries of the first version
	Address string  `json:"address,omitempty"` // IP address of the other end, over HTTPS
}

// ID returns the one identity that everything a person does is counted under:
// "person:" and the objectGUID, else "uid:" and the account's number, else
// "daemon". Two principals with the same ID are the same person.
func (p Principal) ID() string {
	switch {
	case p.Person != "":
		return "person:" + p.Person
	case p.UID != nil:
		return "uid:" + strconv.FormatUint(uint64(*p.UID), 10)
	}
	return ViaDaemon
}

// String returns the principal as entries and tables of people name it.
func (p Principal) String() string {
	switch {
	case p.UID != nil:
		return p.Name + " (" + strconv.FormatUint(uint64(*p.UID), 10) + ")"
	case p.Person != "":
		return p.Name + " (" + p.Person + ")"
	}
	return p.Name
}

// Daemon is the daemon as a principal: it asks for what its rails refused.
func Daemon() Principal { return Principal{Name: "holdfastd", Via: ViaDaemon} }
