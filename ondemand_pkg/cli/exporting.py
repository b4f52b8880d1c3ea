"""The command line of manifests for other orchestrators.

Knows the command `export`; hides everything else behind one call.
"""

from __future__ import annotations

import click

from ondemand_pkg.cli.arguments import FILES
from ondemand_pkg.cli.shared import Report, command


@click.command("export")
@command
@FILES
@click.option("--to", "target", type=click.Choice(["kubernetes"]), required=True, help="What the manifests are for.")
@click.option("--scale-with", type=click.Choice(["none", "keda"]), default="none", show_default=True,
              help="What starts and stops the pods: nothing, or KEDA and its HTTP add-on.")
def export_command(report: Report, files: tuple[str, ...], target: str, scale_with: str) -> None:
    """Print manifests of the declared containers; list on standard error, and in a comment, what could not be exported."""
    from ondemand_pkg.declaration import reader
    from ondemand_pkg.exporting import kubernetes, manifest

    del target  # there is one
    objects, losses = kubernetes.objects(reader.read_declared(files), scale_with == "keda")
    head = [f"From {', '.join(files)}, for 'kubectl apply -f -'."]
    if losses:
        head += ["", "Not exported, or changed:", *(f"- {loss}" for loss in losses)]
    report.text(manifest.stream(objects, head))
    for loss in losses:
        report.note(str(loss))
