"""Says what is wrong with RSMF 2.0 files. Written from the format's rules as
they are published, apart from the program that writes the files.

    python3 validate.py FILE...

prints one line for each fault, "FILE: what", and exits 1 if there is any.
"""

import base64
import datetime
import email
import email.policy
import email.utils
import io
import json
import re
import sys
import zipfile

STAMP = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$")
HEADERS = ["From", "To", "Subject", "Date", "MIME-Version", "Message-ID", "X-RSMF-Version", "X-RSMF-Generator", "X-RSMF-BeginDate",
           "X-RSMF-EndDate", "X-RSMF-EventCount", "X-RSMF-AttachmentCount", "X-RSMF-Application", "X-RSMF-Custodian",
           "X-RSMF-Participants", "X-RSMF-EventCollectionID"]
KNOWN = {
    "root": ({"version", "participants", "conversations", "events"}, {"eventcollectionid"}),
    "participant": ({"id"}, {"display", "email", "avatar", "account_id", "custom"}),
    "conversation": ({"id", "platform", "participants"}, {"display", "type", "custodian", "icon", "custom"}),
    "event": ({"type"}, {"id", "parent", "body", "participant", "conversation", "timestamp", "deleted", "importance", "direction",
                         "custom", "reactions", "attachments", "edits", "read_receipts"}),
    "custom": ({"name", "value"}, set()),
    "reaction": ({"value"}, {"count", "participants"}),
    "attachment": ({"id"}, {"display", "size"}),
    "edit": ({"participant"}, {"timestamp", "previous", "new"}),
    "receipt": ({"participant"}, {"timestamp", "action"}),
}
STEERS = re.compile("[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")


class Faults(list):
    def members(self, kind, value):
        if not isinstance(value, dict):
            self.append(f"a {kind} is no object")
            return False
        must, may = KNOWN[kind]
        for name in sorted(must - value.keys()):
            self.append(f"a {kind} has no {name}")
        for name in sorted(value.keys() - must - may):
            self.append(f"a {kind} has the unknown property {name}")
        for c in value.get("custom", []):
            if self.members("custom", c) and not all(isinstance(c[k], str) and c[k] for k in ("name", "value") if k in c):
                self.append(f"a custom value of a {kind} is no text")
        return must <= value.keys()


def time(faults, what, value):
    if not isinstance(value, str) or not STAMP.match(value):
        faults.append(f"{what} is no time: {value!r}")
        return None
    try:
        return datetime.datetime.fromisoformat(value.replace("Z", "+00:00"))
    except ValueError:
        faults.append(f"{what} is no time: {value!r}")
        return None


def wrapper(faults, raw):
    """Checks the mail and returns it with the zip's bytes."""
    if len(raw) >= 2 << 30:
        faults.append("it has 2 GB or more")
    lines = raw.split(b"\r\n")
    if any(b"\n" in line or b"\r" in line for line in lines):
        faults.append("a line does not end in CR LF")
    if any(len(line) > 998 for line in lines):
        faults.append("a line has more than 998 bytes")
    msg = email.message_from_bytes(raw, policy=email.policy.default)
    for part in msg.walk():
        faults.extend(f"the mail has a defect: {d!r}" for d in part.defects)
        for name, value in part.items():
            faults.extend(f"header {name} has a defect: {d!r}" for d in value.defects)
            if STEERS.search(str(value)):
                faults.append(f"header {name} has a control")
    for name in HEADERS:
        if len(msg.get_all(name, [])) != 1:
            faults.append(f"header {name} is not there once")
    if msg["From"] is not None and len(msg["From"].addresses) != 1:
        faults.append("From is not one address")
    for name, value in msg.items():
        if name.startswith("X-RSMF-") and name not in HEADERS and len(value) >= 255:
            faults.append(f"header {name} has 255 characters or more")
    if msg.get_content_type() != "multipart/mixed":
        faults.append("it is not multipart/mixed")
        return msg, None
    parts = list(msg.iter_parts())
    texts = [p for p in parts if p.get_content_type() == "text/plain" and not p.is_attachment()]
    files = [p for p in parts if p.is_attachment()]
    if len(parts) != 2 or len(texts) != 1 or not texts[0].get_content().strip():
        faults.append("there is not exactly one text/plain part with text, and one attachment")
    elif STEERS.search(texts[0].get_content().replace("\r\n", "\n")):
        faults.append("the text has a control")
    if len(files) != 1 or files[0].get_filename() != "rsmf.zip" or files[0]["Content-Transfer-Encoding"] != "base64":
        faults.append("there is not exactly one attachment rsmf.zip in base64")
        return msg, None
    return msg, base64.b64decode(files[0].get_payload())


def unpack(faults, packed):
    """Checks the zip and returns the manifest, the names and sizes."""
    z = zipfile.ZipFile(io.BytesIO(packed))
    if z.testzip() is not None:
        faults.append("the zip is damaged")
    sizes = {}
    for info in z.infolist():
        if info.filename in sizes:
            faults.append("a file is twice in the zip")
        if "/" in info.filename or "\\" in info.filename or info.is_dir():
            faults.append("the zip is not flat")
        if info.flag_bits & 1:
            faults.append("the zip is encrypted")
        if not re.fullmatch(r"[0-9A-Za-z._-]+", info.filename):
            faults.append("a file's name is not plain")
        sizes[info.filename] = info.file_size
    if "rsmf_manifest.json" not in sizes:
        faults.append("there is no rsmf_manifest.json")
        return None, sizes
    raw = z.read("rsmf_manifest.json").decode("utf-8")
    if STEERS.search(raw):
        faults.append("the manifest has a control that is not escaped")
    return json.loads(raw), sizes


def events(faults, m, sizes):
    """Checks the events and returns the people they name and the attachments' names."""
    people = {p["id"] for p in m["participants"] if "id" in p}
    talks = {c["id"]: c for c in m["conversations"] if "id" in c}
    inside = {i: set(c.get("participants", [])) for i, c in talks.items()}
    named, files, ids, at = set(), [], {}, []

    def person(what, usr):
        named.add(usr)
        if usr not in people:
            faults.append(f"{what} names a participant that is not listed")

    for e in m["events"]:
        if not faults.members("event", e):
            continue
        if e["type"] not in ("message", "disclaimer", "join", "leave", "history", "unknown"):
            faults.append(f"an event's type is {e['type']}")
        when = time(faults, "an event's timestamp", e.get("timestamp"))
        if when:
            at.append(when)
        if "id" in e:
            if e["id"] in ids:
                faults.append("two events have one id")
            ids[e["id"]] = when
    for e in m["events"]:
        when = ids.get(e.get("id"))
        if "participant" in e:
            person("an event", e["participant"])
        if e.get("conversation") not in talks:
            faults.append("an event's conversation is not listed")
            continue
        if "parent" in e:
            if e["parent"] not in ids:
                faults.append("an event's parent is not there")
            elif when and ids[e["parent"]] and when < ids[e["parent"]]:
                faults.append("a reply is before its event")
        if e["type"] == "unknown" and not (e.get("body") and any(c["name"] == "event_type" for c in e.get("custom", []))):
            faults.append("an unknown event has no body or no event_type")
        if e["type"] in ("join", "leave"):
            if talks[e["conversation"]].get("type") != "channel":
                faults.append(f"a {e['type']} is not in a channel")
            if "participant" not in e:
                faults.append(f"a {e['type']} is nobody's")
            elif e["type"] == "join":
                inside[e["conversation"]].add(e["participant"])
            elif e["participant"] not in inside[e["conversation"]]:
                faults.append("somebody leaves who was not listed and did not join")
        if e.get("importance", "normal") not in ("normal", "high") or not isinstance(e.get("deleted", False), bool):
            faults.append("importance or deleted is not one of its values")
        for r in e.get("reactions", []):
            faults.members("reaction", r)
            for usr in r.get("participants", []):
                person("a reaction", usr)
            if r.get("count") != len(set(r.get("participants", []))) or not r.get("value"):
                faults.append("a reaction's count is not that of its people, or it has no value")
        for a in e.get("attachments", []):
            if faults.members("attachment", a):
                files.append(a["id"])
                if sizes.get(a["id"]) != a.get("size"):
                    faults.append("an attachment is not in the zip with its size")
        for x in e.get("edits", []):
            faults.members("edit", x)
            person("an edit", x.get("participant"))
            t = time(faults, "an edit's timestamp", x.get("timestamp"))
            if t and when and t < when:
                faults.append("an edit is before its event")
        for r in e.get("read_receipts", []):
            faults.members("receipt", r)
            person("a receipt", r.get("participant"))
            time(faults, "a receipt's timestamp", r.get("timestamp"))
            if r.get("action") not in ("read", "delivered"):
                faults.append("a receipt's action is neither read nor delivered")
    for c in m["conversations"]:
        for usr in c.get("participants", []):
            person("a conversation", usr)
    if people - named:
        faults.append("a participant is an orphan")
    return files, at


def check(raw):
    faults = Faults()
    msg, packed = wrapper(faults, raw)
    if packed is None:
        return faults
    m, sizes = unpack(faults, packed)
    if m is None or not faults.members("root", m):
        return faults
    for kind, of in (("participant", "participants"), ("conversation", "conversations")):
        seen = set()
        for v in m[of]:
            faults.members(kind, v)
            if v.get("id") in seen:
                faults.append(f"two {of} have one id")
            seen.add(v.get("id"))
    for c in m["conversations"]:
        if c.get("type") not in ("direct", "channel"):
            faults.append("a conversation is neither direct nor a channel")
    if len(m["events"]) > 10000 or not m["events"]:
        faults.append("there are no events, or more than 10,000")
    files, at = events(faults, m, sizes)
    if sorted(files + ["rsmf_manifest.json"]) != sorted(sizes):
        faults.append("the zip has not just the files that the manifest names")
    if at != sorted(at):
        faults.append("the events are not in the order of their times")
    for name, want in (("X-RSMF-Version", m["version"]), ("X-RSMF-EventCount", str(len(m["events"]))),
                       ("X-RSMF-AttachmentCount", str(len(files))), ("X-RSMF-EventCollectionID", m.get("eventcollectionid"))):
        if str(msg[name]) != want:
            faults.append(f"header {name} is not the manifest's")
    if not m.get("eventcollectionid"):
        faults.append("eventcollectionid is empty")
    if m["version"] != "2.0.0":
        faults.append("version is not 2.0.0")
    for name, want in (("X-RSMF-BeginDate", at[:1]), ("X-RSMF-EndDate", at[-1:])):
        if [time(faults, name, str(msg[name]))] != want:
            faults.append(f"{name} is not that of the events")
    # Parsed before the names are decoded: a decoded name may look like an address.
    plain = email.message_from_bytes(raw[:raw.find(b"\r\n\r\n") + 4], policy=email.policy.compat32)
    listed = str(plain["X-RSMF-Participants"]).replace("\r\n", "")
    got = [] if listed == "(none)" else email.utils.getaddresses([listed])
    if len(got) != len(m["participants"]):
        faults.append("X-RSMF-Participants are not as many as the manifest's")
    mails = {a for _, a in got}
    if any(p.get("email") and p["email"] not in mails for p in m["participants"]):
        faults.append("X-RSMF-Participants lacks a participant's address")
    addressed = {a.addr_spec for h in ("From", "To") if msg[h] is not None for a in msg[h].addresses}
    if not mails <= addressed:
        faults.append("From and To are not all participants")
    return faults


def main():
    bad = False
    for name in sys.argv[1:]:
        with open(name, "rb") as f:
            faults = check(f.read())
        for fault in faults:
            bad = True
            print(f"{name}: {fault}")
    sys.exit(1 if bad else 0)


main()
