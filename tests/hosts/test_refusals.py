"""What `check` refuses since the engine would: the engine of the host refuses it; what `check` lets pass is created."""

from __future__ import annotations

from pathlib import Path

from ondemand_pkg.declaration.reader import read
from ondemand_pkg.engines.docker import options
from ondemand_pkg.errors import DeclarationError

from .machine import Machine

HEAD = '[container.web]\nimage = "nginx:1.27"\nversion = "1"\nports = ["80:80"]\n'
# Each with the options by which the engine is asked for the same.
REFUSED = {
    'volumes = ["a1:/x", "b2:/x"]': "-v a1:/x -v b2:/x", 'volumes = ["a1:/x"]\ntmpfs = ["/x"]': "-v a1:/x --tmpfs /x",
    'volumes = ["a1:/x:rw,ro"]': "-v a1:/x:rw,ro", 'volumes = ["/srv:/x:z,Z"]': "-v /srv:/x:z,Z",
    'volumes = ["a1:/x:shared"]': "-v a1:/x:shared", 'volumes = ["/srv:/x:nocopy"]': "-v /srv:/x:nocopy",
    'cap_add = ["NET_ADMN"]': "--cap-add NET_ADMN", 'create_args = ["--ipc=service:x"]': "--ipc=service:x",
    'create_args = ["--mount=type=foo,target=/x"]': "--mount=type=foo,target=/x", 'create_args = ["--tmpfs=x"]': "--tmpfs=x",
    'create_args = ["--volume=/srv:x"]': "--volume=/srv:x", 'create_args = ["--init", "true"]': "--pull=never --init true",
}
TAKEN = ('volumes = ["a1:/x:ro,nocopy", "/srv:/y:rw,rslave"]\ntmpfs = ["/t:size=64M,mode=1777", "/u:noexec"]\n'
         'cap_add = ["net_admin", "CAP_SYS_NICE"]\ncap_drop = ["all"]\n'
         'create_args = ["--ulimit", "nofile=5:6", "--sysctl=net.core.somaxconn=99", "--add-host=a:host-gateway", '
         '"--ipc=shareable", "--security-opt=no-new-privileges", "--mac-address=02:42:ac:11:00:02", '
         '"--health-interval=1m30s", "-it"]\n')


def test_the_engine_refuses_what_check_refuses_and_takes_the_rest(host: Machine, tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    passed, created = [], []
    for lines, arguments in REFUSED.items():
        path.write_text(HEAD + lines + "\n")
        try:
            read([str(path)])
            passed.append(lines)
        except DeclarationError:
            pass
        # Docker 20.10 looks at some values at the start only.
        script = f"docker create --name tried {arguments} nginx:1.27 && docker start tried"
        if host.run("sh", "-c", script, check=False).returncode == 0:
            created.append(lines)
        host.run("docker", "rm", "--force", "tried", check=False)
    assert (passed, created) == ([], [])
    path.write_text(HEAD + TAKEN)
    (container,) = read([str(path)])
    mounts = [part for volume in container.volumes for part in ("--volume", str(volume))]
    done = host.run("docker", "create", *options(container), *mounts, "nginx:1.27", check=False)
    assert done.returncode == 0, done.stderr
