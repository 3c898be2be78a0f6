"""Prints what an HTML file is made of, one JSON line each, as Python's parser
sees it: {"tag", "attrs"} for each tag, {"said"} for each message's text,
{"style"} and {"policy"} once."""

import html.parser
import json
import sys


class Facts(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.lines, self.style, self.open = None, None, []

    def out(self, **fact):
        print(json.dumps(fact))

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.out(tag=tag, attrs=attrs)
        if tag == "meta" and "http-equiv" in attrs:
            self.out(policy=attrs["content"])
        if tag == "style":
            self.style = ""
        if tag == "div":
            self.lines = []
        if tag == "p" and self.lines is not None:
            self.lines.append("")

    def handle_endtag(self, tag):
        if tag == "style":
            self.out(style=self.style)
            self.style = None
        if tag == "div":
            self.out(said="\n".join(self.lines))
            self.lines = None

    def handle_data(self, data):
        if self.style is not None:
            self.style += data
        elif self.lines:
            self.lines[-1] += data

    def handle_comment(self, data):
        self.out(tag="comment")

    def handle_pi(self, data):
        self.out(tag="instruction")


facts = Facts()
with open(sys.argv[1], encoding="utf-8", newline="") as f:
    facts.feed(f.read())
facts.close()
