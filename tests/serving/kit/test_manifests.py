"""docker-compose.yml and kubernetes.yaml."""

import pytest
import yaml

from tfrec_fusion.errors import InputError
from tfrec_fusion.serving import Kit
from tfrec_fusion.serving.kit.compose import check_compose, compose_text
from tfrec_fusion.serving.kit.kubernetes import check_kubernetes, kubernetes_text

COMPOSE = compose_text(Kit(), ["a shop", "b"], 5 * 2**20)
KUBERNETES = kubernetes_text(Kit(replicas=3, cpus=0.5), ["a shop", "b"], 5 * 2**20, True)


def test_compose_starts_the_official_image_on_the_folder():
    services = yaml.safe_load(COMPOSE)["services"]
    assert list(services) == ["serving", "canary"]
    serving = services["serving"]
    assert serving["image"].startswith("tensorflow/serving:")
    assert serving["volumes"] == [".:/models:ro"]
    assert "--model_config_file=/models/models.config" in serving["command"]
    # 1 GiB and three times 5 MiB.
    assert serving["mem_limit"] == f"{1024 + 15}m"
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
        assert container["resources"]["requests"] == {"cpu": "500m", "memory": "1039Mi"}
        assert container["readinessProbe"]["httpGet"]["path"] == "/v1/models/a%20shop/metadata"
    assert "models.canary.config" in str(canary)
    without = list(yaml.safe_load_all(kubernetes_text(Kit(), ["b"], 1, False)))
    assert without[2]["spec"]["replicas"] == 0


@pytest.mark.parametrize(
    ("text", "change", "says"),
    [
        (COMPOSE, ("image: ", "imagee: "), r"services\.serving\.image: Field required"),
        (COMPOSE, ("retries: 3", "retries: many"), r"services\.serving\.healthcheck\.retries"),
        (COMPOSE, ("--enable_batching", "--batching"), "command: not a flag.*--batching=true"),
        (COMPOSE, ("services:", "services"), "not YAML"),
        (KUBERNETES, ("replicas: 3", "replicas: -3"), r"spec\.replicas.*greater"),
        (KUBERNETES, ("readinessProbe", "readyProbe"), "readinessProbe: Field required"),
        (KUBERNETES, ("memory: 1039Mi", "memory: lots"), r"memory.*pattern.*lots"),
        (KUBERNETES, ("kind: Service", "kind: Servce"), "kind must be one of.*Servce"),
        (KUBERNETES, ("track: stable\n  strategy", "track: s\n  strategy"), "matchLabels"),
        (KUBERNETES, ("name: saved-models\n        persist", "name: x\n        persist"), "Mounts"),
        (KUBERNETES, ("port: rest", "port: http"), "probe's port.*http"),
    ],
)
def test_what_would_be_refused_later(text, change, says):
    assert change[0] in text
    check = check_compose if text is COMPOSE else check_kubernetes
    check(text)
    with pytest.raises(InputError, match=says):
        check(text.replace(*change))
