package adtest

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The bits of userAccountControl that are used here (MS-ADTS 2.2.16).
const (
	uacDisabled = 0x2
	uacNormal   = 0x200
	uacMachine  = 0x1000
)

// never is the accountExpires of an account that does not expire.
const never = "9223372036854775807"

// object is one entry of a Fake's directory. Everything is guarded by the
// Fake's mutex.
type object struct {
	dn         string
	key        string // the DN folded
	guid       [16]byte
	rid        uint32 // 0: no security principal
	attributes map[string]attribute
	members    []*object // of a group

	password string
	denied   string // a sub-code that a right password earns: 530, 531, 532, 773
	bad      int    // wrong passwords since the last right one
	locked   bool
	attempts int // bind requests for this object, whatever became of them
}

func newObject(dn string, rid uint32, attributes ...attribute) *object {
	o := &object{rid: rid, attributes: map[string]attribute{}}
	o.place(dn)
	_, _ = rand.Read(o.guid[:]) // cannot fail since Go 1.24
	o.guid[6], o.guid[8] = o.guid[6]&0x0f|0x40, o.guid[8]&0x3f|0x80
	for _, a := range attributes {
		o.set(a.name, a.values...)
	}
	return o
}

func (o *object) place(dn string) { o.dn, o.key = dn, fold(dn) }

func (o *object) set(name string, values ...string) {
	values = slices.DeleteFunc(slices.Clone(values), func(v string) bool { return v == "" })
	if len(values) == 0 {
		delete(o.attributes, strings.ToLower(name))
		return
	}
	o.attributes[strings.ToLower(name)] = attribute{name: name, values: values}
}

// first is an attribute's first value, or nothing.
func (o *object) first(name string) string {
	if a := o.attributes[strings.ToLower(name)]; len(a.values) > 0 {
		return a.values[0]
	}
	return ""
}

func (o *object) is(class string) bool {
	return slices.Contains(o.attributes["objectclass"].values, class)
}

func (o *object) flags() int {
	n, _ := strconv.Atoi(o.first("userAccountControl"))
	return n
}

// rawGUID is the objectGUID as it goes over the wire: the first three fields
// little-endian, the rest as it is read.
func (o *object) rawGUID() string {
	g := o.guid
	slices.Reverse(g[0:4])
	slices.Reverse(g[4:6])
	slices.Reverse(g[6:8])
	return string(g[:])
}

// guidText is the text of an objectGUID in its wire form.
func guidText(raw string) (string, error) {
	if len(raw) != 16 {
		return "", fmt.Errorf("an objectGUID has 16 bytes, not %d", len(raw))
	}
	g := []byte(raw)
	slices.Reverse(g[0:4])
	slices.Reverse(g[4:6])
	slices.Reverse(g[6:8])
	return formatGUID([16]byte(g)), nil
}

func formatGUID(g [16]byte) string {
	h := hex.EncodeToString(g[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// rawSID is a SID's binary form (MS-DTYP 2.4.2.2).
func rawSID(parts ...uint32) string {
	b := []byte{1, byte(len(parts)), 0, 0, 0, 0, 0, 5}
	for _, p := range parts {
		b = binary.LittleEndian.AppendUint32(b, p)
	}
	return string(b)
}

// fileTime is a moment in AD's own count: 100 ns since 1601.
func fileTime(t time.Time) string {
	const epoch = 116444736000000000
	return strconv.FormatInt(t.UnixNano()/100+epoch, 10)
}

// expired says whether an accountExpires lies in the past.
func expired(value string, now time.Time) bool {
	if value == "" || value == "0" || value == never {
		return false
	}
	n, err1 := strconv.ParseInt(value, 10, 64)
	limit, err2 := strconv.ParseInt(fileTime(now), 10, 64)
	return err1 == nil && err2 == nil && n <= limit
}
