"""The files for clusters: scripts are shell, manifests belong together, and all command lines are ones that exist."""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "howto" / "cluster"
PAGE = FOLDER.with_suffix(".md")
SCRIPTS = ("slurm.sh", "slurm-array.sh")


@pytest.fixture(scope="module")
def manifests() -> dict[tuple[str, str], Any]:
    text = (FOLDER / "kubernetes.yaml").read_text(encoding="utf-8")
    return {(one["kind"], one["metadata"]["name"]): one for one in yaml.safe_load_all(text)}


def pods(manifests: dict[tuple[str, str], Any]) -> dict[str, Any]:
    return {name: one["spec"]["template"] for (_, name), one in manifests.items() if "template" in one["spec"]}


def container(pod: Any) -> Any:
    (only,) = pod["spec"]["containers"]
    return only


def command_lines(manifests: dict[tuple[str, str], Any]) -> list[list[str]]:
    """Return the words of all command lines: of the manifests, the scripts, and the page."""
    words = [[str(word) for word in container(pod)["command"]] for pod in pods(manifests).values()]
    texts = [(FOLDER / name).read_text(encoding="utf-8") for name in SCRIPTS]
    texts += re.findall(r"^```\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    for line in "\n".join(texts).splitlines():
        found = re.match(r"\s*(?:srun )?((?:napari-unet|dask (?:scheduler|worker)) .*?)(?: &)?$", line)
        if found:
            words.append(shlex.split(found[1]))
    return words


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts_are_shell(name):
    done = subprocess.run(["bash", "-n", FOLDER / name], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_command_lines_are_ones_of_this_program(manifests):
    from typer.main import get_command

    from napari_unet.cli import app, main  # noqa: F401 - `main` registers the commands

    ours = [words[1:] for words in command_lines(manifests) if words[0] == "napari-unet"]
    assert len(ours) >= 7
    assert sum("--scheduler" in words for words in ours) >= 5
    for name, *arguments in ours:
        get_command(app).commands[name].make_context(name, arguments)  # raises where it is none


def test_the_command_lines_are_ones_of_dask(manifests):
    pytest.importorskip("distributed")
    from distributed.cli import dask_scheduler, dask_worker

    known = {"scheduler": dask_scheduler.main, "worker": dask_worker.main}
    dask = [words[1:] for words in command_lines(manifests) if words[0] == "dask"]
    assert len(dask) == 4
    for name, *arguments in dask:
        known[name].make_context(name, arguments)


def test_deployments_find_their_pods(manifests):
    deployments = [one for (kind, _), one in manifests.items() if kind == "Deployment"]
    assert len(deployments) == 2
    for one in deployments:
        assert one["spec"]["selector"]["matchLabels"] == one["spec"]["template"]["metadata"]["labels"]
    labels = [tuple(sorted(pod["metadata"]["labels"].items())) for pod in pods(manifests).values()]
    assert len(set(labels)) == 3, "no selector finds the pods of another"


def test_the_service_leads_to_the_scheduler(manifests):
    service = manifests["Service", "unet-scheduler"]
    selected = service["spec"]["selector"].items()
    (pod,) = [pod for pod in pods(manifests).values() if selected <= pod["metadata"]["labels"].items()]
    (port,), scheduler = service["spec"]["ports"], container(pod)
    ports = {one["name"]: one["containerPort"] for one in scheduler["ports"]}
    command = scheduler["command"]
    assert ports[port["targetPort"]] == port["port"] == int(command[command.index("--port") + 1])
    assert scheduler["readinessProbe"]["tcpSocket"]["port"] in ports
    address = f"tcp://unet-scheduler:{port['port']}"
    others = [container(one)["command"] for one in pods(manifests).values() if one is not pod]
    assert [command.count(address) for command in others] == [1, 1]


def test_pods_have_one_image_and_the_same_data(manifests):
    assert len({container(pod)["image"] for pod in pods(manifests).values()}) == 1
    with_data = [pod for pod in pods(manifests).values() if "volumes" in pod["spec"]]
    assert len(with_data) == 2
    assert len({str(pod["spec"]["volumes"]) for pod in with_data}) == 1
    for pod in with_data:
        (mount,), (volume,) = container(pod)["volumeMounts"], pod["spec"]["volumes"]
        assert mount["name"] == volume["name"]
    paths = [word for word in container(pods(manifests)["unet-segment"])["command"] if word.startswith("/")]
    assert all(path.startswith(f"{mount['mountPath']}/") for path in paths)


JOB = """
import json, sys
from dask_jobqueue.slurm import SLURMJob
json.dump(SLURMJob("tcp://node:8786", name="one").job_script(), sys.stdout)
"""


@pytest.mark.skipif(find_spec("dask_jobqueue") is None, reason="dask-jobqueue is not installed")
def test_dask_jobqueue_makes_jobs_of_the_settings(tmp_path):
    from distributed.cli import dask_worker

    known = yaml.safe_load(Path(find_spec("dask_jobqueue").origin).with_name("jobqueue.yaml").read_text("utf-8"))
    settings = yaml.safe_load((FOLDER / "jobqueue.yaml").read_text(encoding="utf-8"))["jobqueue"]["slurm"]
    assert settings.keys() <= known["jobqueue"]["slurm"].keys()
    shutil.copy(FOLDER / "jobqueue.yaml", tmp_path)
    # In a process of its own: it would write into the settings of whoever tests.
    done = subprocess.run(
        [sys.executable, "-c", JOB], env=os.environ | {"DASK_CONFIG": str(tmp_path)}, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    script = json.loads(done.stdout)
    for line in (
        "#SBATCH -J napari-unet",
        "#SBATCH --cpus-per-task=1",
        "#SBATCH -t 04:00:00",
        *settings["job-script-prologue"],
    ):
        assert line in script.splitlines()
    command = shlex.split(script.splitlines()[-1])
    assert command[1:3] == ["-m", "distributed.cli.dask_worker"]
    worker = dask_worker.main.make_context("worker", command[3:])
    assert (worker.params["nthreads"], worker.params["death_timeout"]) == (1, "120")


def test_the_script_that_starts_workers_is_python():
    tree = ast.parse((FOLDER / "start_workers.py").read_text(encoding="utf-8"))
    assert "scheduler.json" in [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)]
