"""Builds the test hospital's domain: seed.py TARGET ADMIN_PASSWORD READER_PASSWORD PERSON_PASSWORD.

Run by package adtest with the Python that Samba was built for. Everything is
offline: Samba's own provisioning, then one transaction on its database.

Who is in it (adtest's tests and ldapsync's count on it):
  3,000 people p0001..p3000 below OU=Staff, in the 20 departments i % 20
    60 of them disabled (i % 50 == 7), 30 expired (i % 100 == 13)
    every 97th has a name full of characters that a DN escapes
    p0001..p0040 have a password; that of p0040 is older than the domain allows
    p0101..p0150 have primary-nurses as primary group
  25 computers and 5 contacts among them, which are no people
  114 groups below OU=Groups: 20 dept-NN; all-staff (p0001..p2400); all-clinical
    and all-admin (ten dept-NN each), hospital (both); nest-01..nest-20, each in
    the one before, p0001 in the last; cycle-a, -b, -c in a circle with p0002,
    p0003, p0004; holdfast-* (five roles); primary-nurses; nobody (empty);
    ward-01..ward-60 (ten each)
"""
import sys

import samba.provision

# The one step that wants a file system with Windows' access lists.
samba.provision.setsysvolacl = lambda *a, **k: None

import ldb
from samba.auth import system_session
from samba.netcmd.main import cmd_sambatool
from samba.param import LoadParm
from samba.samdb import SamDB

BYPASS_LAST_SET = "local_oid:1.3.6.1.4.1.7165.4.3.20:0"
NEVER = "9223372036854775807"
LONG_AGO = "129000000000000000"

target, admin_password, reader_password, person_password = sys.argv[1:5]

code = cmd_sambatool()._run(
    "samba-tool", "domain", "provision", "--quiet", "--dns-backend=NONE", "--targetdir=" + target,
    "--realm=HOSPITAL.TEST", "--domain=HOSPITAL", "--host-name=dc1", "--host-ip=127.0.0.1", "--server-role=dc",
    "--adminpass=" + admin_password)
if code:
    sys.exit(code)

lp = LoadParm()
lp.load(target + "/etc/smb.conf")
# In batch mode the indexes are written once; without it each addition costs more than the one before.
db = SamDB(url=target + "/private/sam.ldb", session_info=system_session(), lp=lp, options=["batch_mode:1"])
base = str(db.domain_dn())
staff, groups = "OU=Staff," + base, "OU=Groups," + base
made = 0


def quoted(password):
    return ('"%s"' % password).encode("utf-16-le")


def add(dn, object_class, **attributes):
    db.add({"dn": dn, "objectClass": object_class, **{k: v for k, v in attributes.items() if v}})


def group(name, members):
    global made
    made += 1
    add("CN=%s,%s" % (name, groups), "group", sAMAccountName=name, member=members)


def cn(name):
    return "CN=%s,%s" % (name, groups)


given = ["Ada", "Björn", "Chloé", "Dmitri", "Elif", "Fatima", "Grace", "Hiroshi", "Inés", "Jan"]
surname = ["Abel", "Bauer", "Çelik", "Duarte", "Eriksen", "Fischer", "García", "Huang", "Ivanova", "Jónsdóttir", "Kaya"]
department = ["Department %02d" % d for d in range(20)]
dn = {}


def person(i):
    account = "p%04d" % i
    first, last = given[i % len(given)], surname[i % len(surname)]
    name = "%s %s %04d" % (first, last, i)
    if i % 97 == 0:
        name = '%s, "%s" <%s>; #%04d+x=\\y' % (last, first, "Zoë", i)
    flags = 0x200 | 0x20 | 0x10000
    if i % 50 == 7:
        flags |= 2
    if i == 40:
        flags &= ~0x10000
    d = ldb.Dn(db, "OU=%s,%s" % (department[i % 20], staff))
    d.add_child("CN=x")
    d.set_component(0, "CN", name.encode())
    dn[i] = str(d)
    add(dn[i], "user", sAMAccountName=account, userPrincipalName=account + "@hospital.test", mail=account + "@hospital.test",
        displayName=name, givenName=first, sn=last, title="Nurse" if i % 3 else "Physician", department=department[i % 20],
        userAccountControl=str(flags), accountExpires=LONG_AGO if i % 100 == 13 else NEVER,
        unicodePwd=quoted(person_password) if i <= 40 else None)


def change(where, name, value, controls=()):
    m = ldb.Message(ldb.Dn(db, where))
    m[name] = ldb.MessageElement(value, ldb.FLAG_MOD_REPLACE, name)
    db.modify(m, controls=list(controls))


db.transaction_start()
for ou in (staff, groups, "OU=Former," + base, "OU=Workstations," + staff):
    add(ou, "organizationalUnit")
for d in department:
    add("OU=%s,%s" % (d, staff), "organizationalUnit", description=d)
for i in range(1, 3001):
    person(i)
for i in range(1, 26):
    add("CN=WS-%02d,OU=Workstations,%s" % (i, staff), "computer", sAMAccountName="WS-%02d$" % i, userAccountControl="4096")
for i in range(1, 6):
    add("CN=Contact %d,%s" % (i, staff), "contact", mail="contact%d@elsewhere.test" % i)
add("CN=holdfast reader,CN=Users," + base, "user", sAMAccountName="holdfast-reader", userPrincipalName="holdfast-reader@hospital.test",
    userAccountControl=str(0x200 | 0x10000), unicodePwd=quoted(reader_password))

for d in range(20):
    group("dept-%02d" % d, [dn[i] for i in range(1, 3001) if i % 20 == d])
group("all-staff", [dn[i] for i in range(1, 2401)])
group("all-clinical", [cn("dept-%02d" % d) for d in range(10)])
group("all-admin", [cn("dept-%02d" % d) for d in range(10, 20)])
group("hospital", [cn("all-clinical"), cn("all-admin")])
for n in range(20, 0, -1):
    group("nest-%02d" % n, [dn[1]] if n == 20 else [cn("nest-%02d" % (n + 1))])
for n, c in enumerate("abc"):
    group("cycle-" + c, [dn[2 + n]])
for a, b in ("ab", "bc", "ca"):
    m = ldb.Message(ldb.Dn(db, cn("cycle-" + a)))
    m["member"] = ldb.MessageElement(cn("cycle-" + b), ldb.FLAG_MOD_ADD, "member")
    db.modify(m)
for n, r in enumerate(("administrators", "records", "officers", "approvers", "auditors")):
    group("holdfast-" + r, [dn[10 + 2 * n], dn[11 + 2 * n]])
group("primary-nurses", [dn[i] for i in range(101, 151)])
group("nobody", None)
for n in range(1, 61):
    group("ward-%02d" % n, [dn[50 * n - k] for k in range(10)])
if made != 114:
    sys.exit("made %d groups" % made)

sid = db.search(cn("primary-nurses"), scope=ldb.SCOPE_BASE, attrs=["objectSid"])[0]["objectSid"][0]
for i in range(101, 151):
    change(dn[i], "primaryGroupID", str(int.from_bytes(sid[-4:], "little")))
change(dn[40], "pwdLastSet", LONG_AGO, [BYPASS_LAST_SET])
admin = "CN=Administrator,CN=Users," + base
change(admin, "userPrincipalName", "administrator@hospital.test")
change(admin, "userAccountControl", str(0x200 | 0x10000))
change(base, "lockoutThreshold", "5")
db.transaction_commit()
