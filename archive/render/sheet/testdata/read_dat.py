"""A reader of Concordance load files: the first row names, values between þ and
separated by U+0014, rows end CR LF, ® is a line break inside a value, UTF-8 with
a byte order mark, several values by semicolon. Prints the rows as JSON, with
escapes taken back by the rules of FORMAT.md."""
import json, re, sys

LISTS = {"ALLCUSTODIANS", "FROM", "TO", "PARTICIPANTS", "HOLD_NAMES", "STRIPPED"}

HARMFUL = re.compile("[þ\x00-\x1f\x7f-\x9f\xad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060\u2066-\u2069\ue000-\uf8ff\ufeff\U000e0000-\U000e00ff]")

def said(s):
    return re.sub(r"\\u([0-9a-fA-F]{4})|\\U([0-9a-fA-F]{8})|®", lambda m: "\n" if m[0] == "®" else chr(int(m[1] or m[2], 16)), s)

raw = sys.stdin.buffer.read()
assert raw.startswith(b"\xef\xbb\xbf")
text = raw[3:].decode("utf-8")
assert text.endswith("\r\n")
names, out = None, []
for line in text[:-2].split("\r\n"):
    assert line.startswith("þ") and line.endswith("þ"), line[:80]
    values = line[1:-1].split("þ\x14þ")
    for v in values:
        assert not HARMFUL.search(v), ascii(HARMFUL.search(v)[0])
    if names is None:
        names = values
        continue
    assert len(values) == len(names), (len(values), len(names))
    out.append({n: [said(x) for x in v.split(";")] if n in LISTS else said(v) for n, v in zip(names, values)})
json.dump(out, sys.stdout)
