"""What the tests share: the real data, a checkpoint without training, eight virtual devices."""

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from xla_flags import FAST_COMPILATION, PATIENCE, virtual_devices

ROOT = Path(__file__).parent.parent
# train.py, eval.py and what benchmarks share can be imported, however pytest was started.
sys.path += [str(ROOT), str(ROOT / "benchmarks"), str(ROOT / "tests")]
# Before any test imports JAX, and for the processes that tests start.
os.environ.setdefault("XLA_FLAGS", f"{FAST_COMPILATION} {PATIENCE}")


@pytest.fixture(scope="module", autouse=True)
def drop_programs() -> Iterator[None]:
    """Lets go of a module's compiled programs: thousands of them exceed the maps of a process."""
    yield
    if "jax" in sys.modules:
        sys.modules["jax"].clear_caches()


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data and oracles; the test is skipped where it is absent."""
    folder = (ROOT / os.environ.get("JAXMOTION_SHARED", "../shared")).resolve()
    if not (folder / "oracles").is_dir():
        pytest.skip(f"no real data at {folder} (set JAXMOTION_SHARED)")
    return folder


@pytest.fixture(scope="session")
def gs() -> Iterator:
    """An object store on this machine, for what reads and writes ``gs://bucket/...``."""
    import object_store

    if importlib.util.find_spec("gcsfs") is None:  # imported only when told where the store is
        pytest.skip("needs the extra [gcs]")
    with object_store.serving() as store, pytest.MonkeyPatch.context() as patch:
        for name, value in object_store.environment(store).items():
            patch.setenv(name, value)
        yield store


@pytest.fixture
def own_cache(tmp_path, monkeypatch) -> Path:
    """A cache of its own for what a test fetches."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="session")
def untrained_run(tmp_path_factory) -> Path:
    """A run's folder with random parameters of a small network, for what needs one that loads."""
    return _write_run(tmp_path_factory.mktemp("untrained"))


@pytest.fixture(scope="session")
def slots_run(tmp_path_factory) -> Path:
    """The same of a network with slots, which takes any number of masks."""
    from jaxmotion.networks import DecoderConfig

    folder = tmp_path_factory.mktemp("slots")
    return _write_run(folder, num_masks=4, decoder=DecoderConfig("slots", feed_forward=8))


def _write_run(folder: Path, kind: str = "segmentation", **options) -> Path:
    import jax
    import numpy as np

    from jaxmotion.data import DataConfig
    from jaxmotion.networks import NetworkConfig
    from jaxmotion.options import to_json
    from jaxmotion.tasks.foreground_config import ForegroundConfig
    from jaxmotion.tasks.instances_config import InstancesConfig
    from jaxmotion.tasks.segmentation_config import SegmentationConfig
    from jaxmotion.training.checkpoints import Checkpoints
    from jaxmotion.training.config import Config

    network = NetworkConfig(widths=(4, 8), input="scaled", **options)
    kinds = {
        "segmentation": SegmentationConfig,
        "instances": InstancesConfig,
        "foreground": ForegroundConfig,
    }
    task = kinds[kind](network=network)
    config = Config(data=DataConfig(height=40, width=64), task=task)
    clip = {"flow": jax.ShapeDtypeStruct((1, 1, 40, 64, 2), np.float32)}
    init = task.build(config.data).init
    shapes = jax.eval_shape(init, jax.random.key(0), clip)["params"]
    rng = np.random.default_rng(0)
    params = jax.tree.map(
        lambda leaf: jax.numpy.asarray(rng.normal(0, 0.2, leaf.shape), leaf.dtype), shapes
    )
    checkpoints = Checkpoints(folder, to_json(config))
    metrics = {"loss": 0.5} | ({"quality": 0.5} if kind == "instances" else {})
    checkpoints.best.save(3, {"params": params}, metrics)
    checkpoints.close()
    return folder


@pytest.fixture(scope="session")
def _toy_folder(untrained_run, tmp_path_factory) -> Path:
    from classifier_run import write_classifier

    from jaxmotion.models import FOLDER
    from jaxmotion.models.zoo import export_model
    from jaxmotion.networks import AttentionConfig

    folder = tmp_path_factory.mktemp("models")
    classifier = write_classifier(tmp_path_factory.mktemp("classifier"), bias=50.0)
    export_model(classifier, folder / "saliency.safetensors", trained_on="nothing")
    for name in ("em-k2", "st-ms-k4", "lt-ms-k4"):
        export_model(untrained_run, folder / f"{name}.safetensors", trained_on="nothing")
    objects = _write_run(tmp_path_factory.mktemp("objects"), "instances")
    for name in ("instances", "instances-video"):
        export_model(objects, folder / f"{name}.safetensors", trained_on="nothing")
    gate = AttentionConfig(layers=1, heads=2, gate=True)
    mask = _write_run(
        tmp_path_factory.mktemp("mask"), "foreground", num_masks=2, kernel=(3, 3, 3), attention=gate
    )
    for name in ("foreground", "foreground-davis"):
        export_model(mask, folder / f"{name}.safetensors", trained_on="nothing")
    (folder / "events.safetensors").symlink_to(FOLDER / "events.safetensors")  # small enough
    return folder


@pytest.fixture
def toy_models(_toy_folder, monkeypatch) -> Path:
    """The folder of the shipped models, now of toys, for what is not about how good they are."""
    from jaxmotion import models

    monkeypatch.setattr(models, "FOLDER", _toy_folder)
    return _toy_folder


@pytest.fixture
def break_dis_off(monkeypatch) -> Callable[[int], list[int]]:
    """Interrupts DIS, as Ctrl-C would, at its nth call; gives a list as long as its calls."""
    from jaxmotion.optical_flow import DIS

    estimate, calls = DIS.__call__, []

    def at(number: int) -> list[int]:
        def call(self, image0, image1):
            calls.append(1)
            if len(calls) == number:
                raise KeyboardInterrupt
            return estimate(self, image0, image1)

        monkeypatch.setattr(DIS, "__call__", call)
        return calls

    return at


@pytest.fixture
def killed_in_dis() -> Callable[..., list[str]]:
    """The command of a program that is killed, as by `kill -9`, in its fourth call of DIS.

    Its process does it itself: the moment is certain then, however busy the machine.
    """
    killed = """
import os, runpy, signal, sys
from jaxmotion.optical_flow import DIS

estimate, calls = DIS.__call__, []

def call(self, image0, image1):
    calls.append(1)
    if len(calls) == 4:
        os.kill(os.getpid(), signal.SIGKILL)
    return estimate(self, image0, image1)

DIS.__call__ = call
"""
    return lambda program, *arguments: [sys.executable, "-c", killed + program, *arguments]


@pytest.fixture
def on_eight_devices() -> Callable[..., str]:
    """Runs a program, its text or its file and arguments, on eight virtual CPU devices.

    Gives what it prints.
    """

    def run(program: str | Path, *arguments: str) -> str:
        source = [str(program)] if isinstance(program, Path) else ["-c", program]
        done = subprocess.run(
            [sys.executable, *source, *arguments],
            env=os.environ | virtual_devices(8),
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture
def collectives(on_eight_devices) -> Callable[[str], list[tuple[str, int]]]:
    """What a program's compiled code moves between eight virtual CPU devices.

    The program prints HLO; the result names each collective in it, with its largest array's size.
    """
    import hlo

    def run(program: str) -> list[tuple[str, int]]:
        modules = on_eight_devices(program).split("HloModule ")[1:]
        found = [collective for text in modules for collective in hlo.collectives(text)]
        return [(collective.kind, collective.elements) for collective in found]

    return run
