"""Versions compare as dpkg and rpm compare them."""

from __future__ import annotations

import subprocess

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from requirements import need

from ondemand_pkg.formats.versions import compare_deb, compare_rpm_part

UPSTREAM = st.from_regex(r"[0-9][a-zA-Z0-9.+~]{0,8}", fullmatch=True)
DEB = st.builds("{}{}{}".format, st.sampled_from(["", "0:", "1:", "10:"]), UPSTREAM,
                st.one_of(st.just(""), st.from_regex(r"-[a-z0-9.+~]{1,4}", fullmatch=True)))
RPM = st.text("01239ab.~^_+", min_size=1, max_size=8)
SLOW = settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])


@SLOW
@given(st.lists(st.tuples(DEB, DEB), min_size=5, max_size=20))
def test_as_dpkg(pairs: list[tuple[str, str]]) -> None:
    need("dpkg")
    script = "".join(f"if dpkg --compare-versions '{a}' lt '{b}'; then echo -1; elif dpkg --compare-versions '{a}' gt '{b}'; "
                     "then echo 1; else echo 0; fi\n" for a, b in pairs[:3])
    told = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert [compare_deb(a, b) for a, b in pairs[:3]] == list(map(int, told)), pairs


@SLOW
@given(st.lists(st.tuples(RPM, RPM), min_size=1, max_size=200))
def test_as_rpm(pairs: list[tuple[str, str]]) -> None:
    need("rpm")
    calls = " ".join(f"print(rpm.vercmp('{a}', '{b}') .. ' ')" for a, b in pairs)
    told = subprocess.run(["rpm", "--eval", "%{lua:" + calls + "}"], capture_output=True, text=True, check=True).stdout.split()
    assert [compare_rpm_part(a, b) for a, b in pairs] == list(map(int, told)), pairs
