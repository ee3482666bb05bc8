"""Names that mean something to somebody on their way: to a terminal, a URL, a Redis cluster, a log, Prometheus."""

from typing import Final

SERVED: Final = {
    "colons": "a:b:c",
    "a key of another": "rooms:epoch",
    "braces": "{a}b{c}",
    "a closing brace": "a}:config",
    "an opening brace": "{",
    "dots": "a..b.",
    "three dots": "...",
    "a percent sign": "100%",
    "an encoded slash": "a%2Fb",
    "an encoded dot segment": "%2e%2e",
    "a backslash": "a\\b\\n",
    "a query": "a?b=c&d#e;f",
    "quotes": "\"a\" 'b' `c`",
    "labels": 'x",le="+Inf"} 1',
    "a field of a stream": "data: {}",
    "markup": "<script>alert(1)",
    "templates": "${jndi:dns:x} {{7*7}} %s %(name)s {0}",
    "globs": "*?[a-z]",
    "spaces": "  a  b ",
    "a plus": "a+b",
    "composed": "caf\u00e9",
    "decomposed": "cafe\u0301",
    "Latin": "paypal",
    "Cyrillic": "\u0440\u0430\u0443\u0440\u0430l",
    "wide": "\uff21\uff22",
    "right to left": "\u05e9\u05dc\u05d5\u05dd",
    "joined": "\U0001f469\u200d\U0001f4bb",
    "long": "x" * 128,
    "long in bytes": "\U0001f600" * 128,
    "a number": "007",
    "a word": "null",
}
"""Names of rooms and people that come back as they were given."""

REFUSED: Final = {
    "empty": "",
    "a line break": "a\nb",
    "a header": "a\r\nSet-Cookie: b=c",
    "an event": "a\n\ndata: {}",
    "a tab": "a\tb",
    "NUL": "a\0b",
    "an escape": "a\x1b[2Jb",
    "DEL": "a\x7fb",
    "C1": "a\x85b",
    "a line separator": "a\u2028b",
    "a paragraph separator": "a\u2029b",
    "right-to-left override": "a\u202eb",
    "right-to-left mark": "a\u200fb",
    "isolate": "a\u2066b",
    "zero width": "a\u200bb",
    "soft hyphen": "a\u00adb",
    "byte order mark": "\ufeffa",
    "tag": "a\U000e0041b",
    "too long": "x" * 10_000,
}
"""Names that nobody may have."""

REFUSED_ROOMS: Final = {**REFUSED, "a slash": "a/b", "a dot": ".", "two dots": "..", "a path": "../../etc/passwd"}
