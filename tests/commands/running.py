"""The program in this process: a command line in, exit code and both outputs out."""

import io
import json
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from router import cli


@dataclass(frozen=True, slots=True)
class Outcome:
    code: int
    out: str
    err: str

    def json(self) -> Any:
        assert self.code == 0, self.err
        return json.loads(self.out)


def run(*arguments: str) -> Outcome:
    out, err = io.StringIO(), io.StringIO()
    with patch("sys.argv", ["router", *arguments]), redirect_stdout(out), redirect_stderr(err):
        try:
            cli.main()
        except SystemExit as left:
            code = left.code
        else:
            code = 0
    assert isinstance(code, int | None)
    return Outcome(code or 0, out.getvalue(), err.getvalue())
