"""Control files that break apt on every host, or that it reads as another package, and some that look alike and are sound."""

from __future__ import annotations

HARMLESS = b"Package: harmless\nVersion: 1.0-1\nArchitecture: all\nMaintainer: x <x@example.com>\n%sDescription: x\n"
REFUSED = (
    b"package: bash\nversion: 99-1\n", b"Package : bash\n", b"PACKAGE\t: bash\n", b"filename: ../../x.deb\n", b"Filename: x\n",
    b"sha256: 0\n", b"Status: install ok installed\n", b"X: a\r\n\r\nPackage: bash\n",
    b"X: a\n\nPackage: bash\n",
    b"X: a\n \nPackage: bash\n", b"X: a\n\r\nPackage: bash\n", b"X: a\x1b]0;b\n",
    b"X: \xc2\x9b\n", b"X: \xe2\x80\xa8\n", b"X: \0\n",
    b"# Package: bash\n", b"no colon\n", b"X Y: a\n", b"-X: a\n", b"X: a\nx: b\n", b": a\n", b"Source: " + b"a" * 70_000 + b"\n",
    b"Section: a\n b\n", b"Depends: foo (>= \n", b"Depends: foo, , bar\n", b"Depends: foo (1)\n", b"Depends: foo bar\n",
    b"Depends: ,foo\n", b"Depends: |foo\n", b"Depends: foo [amd64]\n", b"Depends: foo (>= 1) (<< 2)\n", b"Depends: foo : any\n",
    b"pre-depends: foo (\n", b"Provides: foo (>= " + b"1" * 70_000 + b")\n")
TAKEN = (
    b"", b"Depends: foo (>= 1) | bar, baz:any (<< 2:1~rc)\n", b"Depends: foo,\n", b"Depends: foo(>=1)\n",
    b"Depends:\n", b"Provides:\n",
    b"Depends: foo,\n bar (= 1),\n baz\n", b"Provides: Foo_Bar, x (= 1)\n",
    b"X-Own: anything: at all, (even this\n", b"homepage: x\n",
    b"Built-Using: a (= 1), " + b"b (= 2), " * 20_000 + b"c (= 3)\n",
    "X: ünï\u202ecode\n".encode(), b"X: \xff\xfe\n", b"X:\n a\n .\n b\n",
    b"Conflicts: ${x}\n", b"Essential: maybe\n")
