"""Reads records.csv with Python's csv module, takes the cells back to what was
said by the rules of FORMAT.md, and prints the rows as JSON: {column: value},
a list as a list. Complains about whatever steers, hides or breaks a row."""
import csv, io, json, re, sys

LISTS = set("""to_usr to_mail to_name member_usr member_name flags attachment_name attachment_type attachment_size
attachment_status attachment_bates attachment_path attachment_md5 attachment_sha256 custodians holds""".split())
BEGINS = re.compile("^['\u0020\u00a0\u3000]*[=+\\-@\t\r\n＝＋－＠]")

def said(s):
    s = re.sub(r"\\u([0-9a-fA-F]{4})|\\U([0-9a-fA-F]{8})|⏎", lambda m: "\n" if m[0] == "⏎" else chr(int(m[1] or m[2], 16)), s)
    return s

HARMFUL = re.compile("[\x00-\x1f\x7f-\x9f\xad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060\u2066-\u2069\ue000-\uf8ff\ufeff\U000e0000-\U000e00ff]")

raw = sys.stdin.buffer.read()
assert raw.startswith(b"\xef\xbb\xbf") and raw.endswith(b"\r\n")
text = raw[3:].decode("utf-8")
lines = text.split("\r\n")[:-1]
for line in lines:
    assert not HARMFUL.search(line), ascii(HARMFUL.search(line)[0])
csv.field_size_limit(sys.maxsize)
rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
assert len(rows) == len(lines), "a row is not one line"
heading, out = rows[0], []
for row in rows[1:]:
    assert len(row) == len(heading), row
    values = {}
    for name, cell in zip(heading, row):
        assert cell[:1] not in tuple("=+-@＝＋－＠"), cell
        if cell.startswith("'") and BEGINS.match(said(cell)):
            cell = cell[1:]
        values[name] = [said(v) for v in cell.split(";")] if name in LISTS else said(cell)
    out.append(values)
json.dump(out, sys.stdout)
