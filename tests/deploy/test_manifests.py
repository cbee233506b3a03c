"""docker-compose.yml and kubernetes.yaml."""

import pytest
import yaml
from kubernetes_schema import SCHEMAS

from tfrec_fusion.deploy import DeploymentConfig
from tfrec_fusion.deploy.compose import check_compose, compose_text
from tfrec_fusion.deploy.kubernetes import kubernetes_text
from tfrec_fusion.deploy.memory import Footprint, memory_mib
from tfrec_fusion.deploy.server import check_arguments
from tfrec_fusion.errors import InputError

MIB = 2**20
# Two versions of 10 and 5 MiB.
FOOTPRINT = Footprint(loaded=15 * MIB, largest=10 * MIB, items=0)
COMPOSE = compose_text(DeploymentConfig(), ["a shop", "b"], FOOTPRINT)
KUBERNETES = kubernetes_text(
    DeploymentConfig(replicas=3, cpus=0.5), ["a shop", "b"], FOOTPRINT, True
)


def test_compose_starts_the_official_image_on_the_folder():
    services = yaml.safe_load(COMPOSE)["services"]
    assert list(services) == ["serving", "canary"]
    serving = services["serving"]
    assert serving["image"].startswith("tensorflow/serving:")
    assert serving["volumes"] == [".:/models:ro"]
    assert "--model_config_file=/models/models.config" in serving["command"]
    # 1 GiB, all that is loaded, and three times the largest.
    assert serving["mem_limit"] == f"{1024 + 15 + 30}m"
    assert "/v1/models/a%%20shop/metadata" in serving["healthcheck"]["test"][3]
    # A refused label would keep the canary's server from ever loading another version.
    assert not [flag for flag in services["canary"]["command"] if "poll" in flag]


def test_kubernetes_has_both_tracks_behind_one_service():
    claim, stable, canary, service = yaml.safe_load_all(KUBERNETES)
    assert claim["kind"] == "PersistentVolumeClaim"
    assert (stable["spec"]["replicas"], canary["spec"]["replicas"]) == (3, 1)
    for deployment in (stable, canary):
        labels = deployment["spec"]["template"]["metadata"]["labels"]
        assert service["spec"]["selector"].items() <= labels.items()
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        assert container["resources"]["requests"] == {"cpu": "500m", "memory": "1069Mi"}
        assert container["readinessProbe"]["httpGet"]["path"] == "/v1/models/a%20shop/metadata"
    assert "models.canary.config" in str(canary)
    without = list(yaml.safe_load_all(kubernetes_text(DeploymentConfig(), ["b"], FOOTPRINT, False)))
    assert without[2]["spec"]["replicas"] == 0


@pytest.mark.parametrize(
    ("options", "threads"),
    [
        # 2 batches of 64 that run and one that fills.
        ({}, 192),
        ({"batch_sizes": (1, 16), "cpus": 4}, 16 * 5),
        ({"batch_sizes": (1,), "cpus": 4}, 16),  # 4 a CPU
        ({"merged_runs": 5}, 64 * 6),
        ({"grpc_max_threads": 7}, 7),
    ],
)
def test_enough_threads_to_fill_batches(options, threads):
    compose = compose_text(DeploymentConfig(**options), ["b"], FOOTPRINT)
    for service in yaml.safe_load(compose)["services"].values():
        assert f"--grpc_max_threads={threads}" in service["command"]
        assert f"--rest_api_num_threads={threads}" in service["command"]
    (_, stable, canary, _) = yaml.safe_load_all(
        kubernetes_text(DeploymentConfig(**options), ["b"], FOOTPRINT, True)
    )
    for deployment in (stable, canary):
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        assert f"--grpc_max_threads={threads}" in container["args"]


def test_tf_serving_merges_only_where_it_is_asked_to():
    asked = compose_text(DeploymentConfig(merging="session"), ["b"], FOOTPRINT)
    assert "--enable_batching=true" in asked
    assert "--batching_parameters_file=/models/batching_parameters.txt" in asked
    for merging in ("graph", None):
        text = compose_text(DeploymentConfig(merging=merging), ["b"], FOOTPRINT)
        assert "batching" not in text


def test_memory_of_all_that_may_be_loaded_and_of_the_largest_answer():
    # 100 MiB stable, 150 MiB canary and new; 65,536 items and 64 rows are 2**22 pairs, of which two
    # runs hold 12 bytes each (96 MiB) and an answer 28 (112 MiB).
    footprint = Footprint(loaded=400 * MIB, largest=150 * MIB, items=65_536)
    assert memory_mib(DeploymentConfig(cpus=2), footprint) == 1024 + 400 + 450 + 96 + 112
    assert (
        memory_mib(DeploymentConfig(cpus=2, batch_sizes=(1, 32)), footprint)
        == 1024 + 400 + 450 + 48 + 56
    )
    assert memory_mib(DeploymentConfig(memory_gib=1.5), footprint) == 1536


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("image: ", "imagee: "), r"services\.serving\.image: Field required"),
        (("retries: 3", "retries: many"), r"services\.serving\.healthcheck\.retries"),
        (("--grpc_max_threads", "--threads"), "command: not a known flag.*--threads=192"),
        (("services:", "services"), "not YAML"),
    ],
)
def test_what_compose_would_refuse(change, says):
    assert change[0] in COMPOSE
    check_compose(COMPOSE)
    with pytest.raises(InputError, match=says):
        check_compose(COMPOSE.replace(*change))


@pytest.mark.parametrize("has_canary", [True, False])
def test_kubernetes_fits_the_schema_of_its_objects(has_canary):
    text = kubernetes_text(
        DeploymentConfig(replicas=3, cpus=0.5), ["a shop", "b"], FOOTPRINT, has_canary
    )
    found = [SCHEMAS[each["kind"]].model_validate(each) for each in yaml.safe_load_all(text)]
    deployments = [each for each in found if each.kind == "Deployment"]
    assert len(found) == 4 and len(deployments) == 2
    for deployment in deployments:
        template = deployment.spec.template
        assert deployment.spec.selector.match_labels.items() <= template.metadata.labels.items()
        volumes = {volume.name for volume in template.spec.volumes}
        for container in template.spec.containers:
            check_arguments(container.args, "kubernetes.yaml", "args")
            ports = {port.name for port in container.ports}
            assert container.startup_probe.http_get.port in ports
            assert container.readiness_probe.http_get.port in ports
            assert container.liveness_probe.tcp_socket.port in ports
            assert {mount.name for mount in container.volume_mounts} <= volumes
