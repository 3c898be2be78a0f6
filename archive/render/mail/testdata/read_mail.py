"""Reads mails with Python's email package as it comes (policy=default) and
prints them as JSON. Arguments: eml and paths of files with one mail each; mbox
and the path of an mboxrd file, of whose mails only the SHA-256 is printed, with
the quoting undone and CR LF. Complains about every defect that the package
finds, in headers and parts too, and about lines that RFC 5322 forbids."""
import email, email.policy, hashlib, json, mailbox, re, sys

def lines(raw, end):
    assert raw.endswith(end)
    for line in raw[:-len(end)].split(end):
        assert len(line) <= 998, len(line)
        assert not re.search(rb"[\x00-\x08\x0a-\x1f\x7f-\xff]", line), line
        assert b"=?utf-8?" not in line or len(line) <= 76, line

def fields(part):
    out = []
    for name, value in part.items():
        assert not value.defects, (name, value.defects)
        assert "\n" not in value and "\r" not in value, (name, value)
        out.append([name, str(value)])
    assert not part.defects, part.defects
    return out

def read(raw):
    m = email.message_from_bytes(raw, policy=email.policy.default)
    out = {"headers": fields(m), "parts": [], "date": m["date"].datetime.isoformat()}
    for name in ("from", "to"):
        out[name] = [[a.display_name, a.addr_spec] for a in m[name].addresses]
    for part in m.walk():
        headers = fields(part)
        if part.is_multipart():
            continue
        content = part.get_payload(decode=True)
        p = {"headers": headers, "type": part.get_content_type(), "name": part.get_filename(), "disposition": part.get_content_disposition()}
        p["sha256"] = hashlib.sha256(content).hexdigest()
        if part.get_content_type() == "text/plain" and p["disposition"] != "attachment":
            p["text"] = part.get_content().replace("\r\n", "\n")
        out["parts"].append(p)
    return out

if sys.argv[1] == "eml":
    mails = []
    for path in sys.argv[2:]:
        raw = open(path, "rb").read()
        lines(raw, b"\r\n")
        mails.append(read(raw))
else:
    lines(open(sys.argv[2], "rb").read(), b"\n")
    box = mailbox.mbox(sys.argv[2], create=False)
    mails = []
    for key in box.keys():
        raw = re.sub(rb"(?m)^>(>*From )", rb"\1", box.get_bytes(key)).replace(b"\n", b"\r\n")
        assert not email.message_from_bytes(raw, policy=email.policy.default).defects
        mails.append({"sha256": hashlib.sha256(raw).hexdigest()})
json.dump(mails, sys.stdout)
