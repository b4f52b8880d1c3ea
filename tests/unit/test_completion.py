"""Shells complete commands, options and files, each asked by itself."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from requirements import need

# What each shell does at a tab, with its own functions in place of the screen; {words} is the line, the last word unfinished.
SHELLS = {
    "bash": """eval "$(_ONDEMAND_PKG_COMPLETE=bash_source ondemand-pkg)"
compopt() {{ :; }}
COMP_WORDS=({words}) COMP_CWORD=$(( ${{#COMP_WORDS[@]}} - 1 ))
_ondemand_pkg_completion ondemand-pkg
printf '%s\\n' "${{COMPREPLY[@]}}"
complete -p ondemand-pkg""",
    "zsh": """compdef() {{ :; }}
_describe() {{ local -a given=("${{(@P)${{@[-2]}}}}"); print -rl -- $given; }}
compadd() {{ local name=${{@[-1]}}; print -rl -- ${{(P)name}}; }}
_path_files() {{ print file; }}
eval "$(_ONDEMAND_PKG_COMPLETE=zsh_source ondemand-pkg)"
words=({words}) CURRENT=${{#words}}
_ondemand_pkg_completion""",
    "fish": """_ONDEMAND_PKG_COMPLETE=fish_source ondemand-pkg | source
complete --do-complete "{words}" """,
}


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the program in it, as an installation has it."""
    directory = tmp_path_factory.mktemp("bin")
    script = directory / "ondemand-pkg"
    script.write_text(f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(Path(__file__).parents[2])!r})\n"
                      "from ondemand_pkg.cli.main import main\nmain()\n")
    script.chmod(0o755)
    return directory


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(("words", "expected"), [("ondemand-pkg ch", "check"), ("ondemand-pkg import --cont", "--container"),
                                                 ("ondemand-pkg build --format r", "rpm")])
def test_a_shell_completes(shell: str, words: str, expected: str, program: Path, tmp_path: Path) -> None:
    need(shell)
    done = subprocess.run([shell, "-c", SHELLS[shell].format(words=words)], capture_output=True, text=True, cwd=tmp_path,
                          env={**os.environ, "PATH": f"{program}:{os.environ['PATH']}", "HOME": str(tmp_path)}, timeout=60)
    found = [line.partition("\t")[0].partition(":")[0].strip() for line in done.stdout.splitlines()]
    assert expected in found, done.stdout + done.stderr


OF_HOSTS = {
    "bash": """. {script}
COMP_WORDS=(ondemand status w) COMP_CWORD=2
_ondemand
printf '%s\\n' "${{COMPREPLY[@]}}" """,
    "zsh": """compdef() {{ :; }}
compadd() {{ print -rl -- ${{@[2,-1]}}; }}
. {script}
words=(ondemand status w) CURRENT=3
_ondemand""",
    "fish": """. {script}
complete --do-complete "ondemand status w" """,
}


@pytest.mark.parametrize("shell", OF_HOSTS)
def test_a_shell_completes_the_names_of_a_hosts_services(shell: str, tmp_path: Path) -> None:
    need(shell)
    top = Path(__file__).parents[2]
    (tmp_path / "libexec/ondemand-web").mkdir(parents=True)
    (tmp_path / "libexec/ondemand-web/container.json").write_text('{"container": "ondemand-web"}')
    program = tmp_path / "bin/ondemand"
    program.parent.mkdir()
    program.write_text(f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(top)!r})\n"
                       f"from ondemand_host import main, places\nplaces.LIBEXEC = {str(tmp_path / 'libexec')!r}\n"
                       "sys.exit(main.main())\n")
    program.chmod(0o755)
    subprocess.run([sys.executable, top / "tools/manuals", tmp_path], check=True, cwd=top)
    script = OF_HOSTS[shell].format(script=tmp_path / f"ondemand.{shell}")
    done = subprocess.run([shell, "-c", script], capture_output=True, text=True, cwd=tmp_path, timeout=60,
                          env={**os.environ, "PATH": f"{program.parent}:{os.environ['PATH']}", "HOME": str(tmp_path)})
    assert done.stdout.split() == ["web"], done.stdout + done.stderr
